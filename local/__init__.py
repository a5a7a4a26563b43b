"""The embedded AWS: the real template, state machine, Lambda zips and Batch commands in one process, no account."""
