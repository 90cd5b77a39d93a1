"""From shares to exits: what is due is judged in batches, and whose shares are bad."""
