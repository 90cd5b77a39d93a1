"""A relayer as its clients see it: the sidecar and the operator."""
