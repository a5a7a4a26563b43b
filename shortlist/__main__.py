"""`python -m shortlist …`: the command line of a checkout that is not installed."""

import sys

from shortlist.cli import main

if __name__ == "__main__":
    sys.exit(main())
