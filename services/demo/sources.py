"""Where the demo's cluster comes from: a dealer who knows all keys, or a ceremony of its own nodes."""

from __future__ import annotations

from pathlib import Path

from ..settings import DemoSettings
from .cluster import DemoCluster, Oracles, make_cluster
from .generated_cluster import make_generated_cluster
from .ssv_cluster import make_ssv_cluster


def step_of(settings: DemoSettings) -> str:
    """What is done, in words."""
    kind = f"{settings.nodes}-node {'SSV' if settings.ssv else 'Obol'} cluster"
    if settings.dkg:
        return f"let a {kind} make the keys of {settings.validators} validators"
    return f"make a {kind} of {settings.validators} validators"


def make_from(
    settings: DemoSettings, directory: Path, *, vault: bytes | None = None, oracles: Oracles | None = None
) -> DemoCluster:
    """Make it; the arguments are those of `make_cluster`."""
    if settings.dkg:
        return make_generated_cluster(settings, directory, vault=vault, oracles=oracles)
    make = make_ssv_cluster if settings.ssv else make_cluster
    return make(settings, directory, vault=vault, oracles=oracles)
