"""Beacon nodes."""
