"""Contracts: what is read of them, what is sent to them, and what is signed for them."""
