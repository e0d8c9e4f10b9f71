"""`python -m inkling.training.cli`."""

import sys

from inkling.training.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
