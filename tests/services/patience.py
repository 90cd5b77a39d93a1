"""How long tests wait for what should come soon: longer than it takes on the busiest machine.

Nobody waits for these to pass unless something is wrong; they are below the `timeout` of pyproject.toml.
"""

PATIENCE_SECONDS = 120.0
ANSWER_SECONDS = 30.0  # of a node or service of the tests that does answer
