"""Whole clips of poses, one format a file: bytes from a stranger in, `PoseClip` out. Pure and bounded."""
