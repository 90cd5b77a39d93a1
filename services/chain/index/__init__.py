"""Which index the next validator gets, and which validator has which."""
