"""Commands that need no ceremony."""
