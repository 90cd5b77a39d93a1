"""Voluntary exits of a cluster: what its operators ordered, what nodes signed, what may be sent."""
