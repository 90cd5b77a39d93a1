"""Registrations: prepared, collected from the relayer, checked."""
