"""How long tests wait for what should come soon: longer than it takes on the busiest machine."""

# Nobody waits for it to pass unless something is wrong; it is below the `timeout` of pyproject.toml.
PATIENCE_SECONDS = 120.0
