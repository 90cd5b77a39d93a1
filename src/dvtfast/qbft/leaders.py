"""Whose turn it is to propose."""

from __future__ import annotations

from dvtfast.qbft.messages import Duty


def leader(duty: Duty, round: int, nodes: int) -> int:
    """Who proposes in a round, a position from 0."""
    return (duty.slot + duty.type + round) % nodes
