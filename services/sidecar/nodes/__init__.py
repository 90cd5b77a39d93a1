"""The nodes of a sidecar, and what signs for them."""
