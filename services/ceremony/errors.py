"""What a ceremony cannot go on with."""

from __future__ import annotations


class CeremonyError(Exception):
    """Why nothing was made; the message is for people, and says what to do."""
