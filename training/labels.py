"""What stands for a label that nobody gave."""

UNLABELLED = -1
