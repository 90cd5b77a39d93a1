"""Exits that are given to the oracles of today."""
