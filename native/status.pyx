"""The status of one row, shared by kernels and library."""
