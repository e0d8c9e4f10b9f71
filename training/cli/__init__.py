"""`inkling train`: from data sets to bundles. A file for each group of verbs; heavy imports wait until one runs."""

from inkling.training.cli.command import main

__all__ = ["main"]
