"""Distributed key generation: keys that nobody ever holds whole. State machines without I/O and clock."""
