"""The target of a clip or a step that has no label."""

UNLABELLED = -1
