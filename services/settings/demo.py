"""What the demo can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dvtfast.networks import NETWORKS, Network
from dvtfast.obol import MAX_OPERATORS, MAX_VALIDATORS
from dvtfast.protocol_config import MAX_ORACLES
from dvtfast.ssv import CLUSTER_SIZES, threshold_of

from . import parsing
from .sources import Settings, setting

DEFAULT_VALIDATORS = 1000
DEFAULT_VALIDATORS_ON_CHAIN = 200
DEFAULT_VALIDATORS_ON_DUTY = 64
LEAST_THRESHOLD = 2
# What a cluster lock and a protocol config can have.
MOST = {"validators": MAX_VALIDATORS, "nodes": MAX_OPERATORS, "oracles": MAX_ORACLES}
CHAIN_NETWORK = "hoodi"  # whose id our own chain has


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoSettings(Settings):
    """What `dvtfast demo` can be told."""

    chain: bool = setting(
        "--chain",
        parsing.switch,
        "Go on until they are registered on a chain of our own, with oracles that approve; needs anvil and"
        " the extra demo-chain.",
        default="false",
    )
    duties: bool = setting(
        "--duties",
        parsing.switch,
        "Let the cluster make its keys and perform its duties on a beacon chain of our own, in place of the"
        " registration; needs the extra spec.",
        default="false",
    )
    validators: int = setting(
        "--validators",
        parsing.count,
        f"Validators to register; {DEFAULT_VALIDATORS} when not set. With --chain that many each way, by"
        f" deposit data and by the relayer's choice, and {DEFAULT_VALIDATORS_ON_CHAIN} when not set;"
        f" {DEFAULT_VALIDATORS_ON_DUTY} with --duties.",
        optional=True,
        metavar="N",
    )
    nodes: int = setting("--nodes", parsing.count, "Nodes in the cluster.", default="4", metavar="N")
    threshold: int = setting(
        "--threshold", parsing.count, "Nodes that a signature needs.", default="3", metavar="T"
    )
    ssv: bool = setting(
        "--ssv",
        parsing.switch,
        "A cluster of SSV operators instead of Obol nodes; 4, 7, 10 or 13, of whom 2f+1 of 3f+1 must sign.",
        default="false",
    )
    dkg: bool = setting(
        "--dkg",
        parsing.switch,
        "The cluster makes its keys itself, in a ceremony of `dvtfast dkg` through a relay, and nobody has"
        " one whole; otherwise a dealer makes them.",
        default="false",
    )
    oracles: int = setting("--oracles", parsing.count, "Oracles in the config.", default="11", metavar="K")
    oracle_threshold: int = setting(
        "--oracle-threshold", parsing.count, "Oracles that an exit needs.", default="8", metavar="M"
    )
    network: Network = setting(
        "--network",
        parsing.network,
        "The network whose constants are used; it is not contacted.",
        default="hoodi",
        metavar="|".join(NETWORKS),
    )
    workdir: Path | None = setting(
        "--workdir",
        parsing.path,
        "Where files, databases and logs go, and stay; a temporary directory when not set.",
        optional=True,
        metavar="DIR",
    )
    json: bool = setting("--json", parsing.switch, "Print the summary as JSON.", default="false")
    timeout_seconds: float = setting(
        "--timeout-seconds", parsing.seconds, "Give up when it takes longer than this.", default="600"
    )

    @property
    def extras(self) -> tuple[str, ...]:
        """What makes a chain."""
        return (*(("demo-chain",) if self.chain else ()), *(("spec",) if self.duties else ()))

    @classmethod
    def load(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """With as many validators as are shown best."""
        settings = super().load(flags, environment)
        if settings.validators is not None:
            return settings
        default = DEFAULT_VALIDATORS_ON_CHAIN if settings.chain else DEFAULT_VALIDATORS
        default = DEFAULT_VALIDATORS_ON_DUTY if settings.duties else default
        return dataclasses.replace(settings, validators=default)

    def problems(self) -> list[str]:
        """A threshold must not exceed its total."""
        pairs = [("nodes", "threshold"), ("oracles", "oracle_threshold")]
        flags = {field: source.flag for field, source in self.sources().items()}
        if self.duties and (self.chain or self.ssv):
            other = flags["chain" if self.chain else "ssv"]
            return [f"{flags['duties']}: it is for an Obol cluster, and not with {other}"]
        if (self.chain or self.duties) and self.network.name != CHAIN_NETWORK:
            other = flags["chain" if self.chain else "duties"]
            return [f"{flags['network']}: expected {CHAIN_NETWORK} with {other}"]
        if self.chain and self.validators == 1:  # one by stakes, one by rewards
            return [f"{flags['validators']}: expected at least 2 with {flags['chain']}, got 1"]
        for field, most in MOST.items():
            if getattr(self, field) is not None and getattr(self, field) > most:
                return [f"{flags[field]}: expected at most {most}, got {getattr(self, field)}"]
        if self.threshold < LEAST_THRESHOLD:  # its key shares would be the validators' keys themselves
            return [f"{flags['threshold']}: expected at least {LEAST_THRESHOLD}, got {self.threshold}"]
        if self.ssv and self.nodes not in CLUSTER_SIZES:
            sizes = ", ".join(map(str, CLUSTER_SIZES))
            return [f"{flags['nodes']}: expected {sizes} with {flags['ssv']}, got {self.nodes}"]
        if self.ssv and self.threshold != (wanted := threshold_of(self.nodes)):
            return [f"{flags['threshold']}: expected {wanted} with {flags['ssv']}, got {self.threshold}"]
        return [
            f"{flags[threshold]}: expected at most {flags[total]} {getattr(self, total)},"
            f" got {getattr(self, threshold)}"
            for total, threshold in pairs
            if getattr(self, threshold) > getattr(self, total)
        ]
