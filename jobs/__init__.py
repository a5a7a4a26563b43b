"""Entry points of the Batch jobs: a payload in argv[1] in, a stage run, an exit code out."""
