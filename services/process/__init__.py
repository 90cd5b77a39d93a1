"""A service as a process: how it runs and ends, its threads, its log; one process at a time is a node."""
