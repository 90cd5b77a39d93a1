"""The compiled kernels; private. They know arrays and statuses, nothing else."""
