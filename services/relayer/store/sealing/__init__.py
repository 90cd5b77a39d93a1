"""Signatures at rest: sealed under a key, and sealed anew."""
