"""Whole clips: a file of poses or a video comes in, is scored as a stream of its own, and a timeline comes out."""
