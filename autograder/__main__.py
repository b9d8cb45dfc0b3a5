"""`python -m autograder` is the command `autograder`."""

import sys

from autograder.cli import main

if __name__ == "__main__":  # worker processes import this module again, and must not run it
    sys.exit(main())
