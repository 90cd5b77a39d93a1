"""The services of the registration round: relayer, sidecar, operator, and a demo of all three."""
