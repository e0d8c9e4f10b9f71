"""The training loop."""

from inkling.training.distill.learner import train

__all__ = ["train"]
