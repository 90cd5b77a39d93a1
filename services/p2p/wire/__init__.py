"""Bytes and what they mean. Nothing here waits, and nothing keeps more than it was given."""
