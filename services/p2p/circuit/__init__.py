"""A relay as its clients see it: found over HTTP, asked to let others in, and a way to them."""
