"""`python -m shortlist …`: the command line of a checkout that is not installed."""

from shortlist.cli import main

main()
