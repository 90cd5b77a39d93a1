"""A node's signer, as it is, on a disk that outlives its program."""

from __future__ import annotations

from typing import Any

import numpy as np

from dvtfast.services.keys.key_shares import NodeKeys
from dvtfast.services.node.exchange import ClusterMembers
from dvtfast.services.node.signing.keys import KeySharesInMemory
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.signing.signer import DutySigner
from dvtfast.services.node.signing.slashing_protection import SlashingProtectionError
from dvtfast.services.process.offload import Workers
from tests.simulation.chain import CONSTANTS, PRESET
from tests.simulation.loop import Program


class Disk:
    """What a node has signed. A transaction is on it, whole, or was never begun."""

    def __init__(self, public_key_shares: np.ndarray) -> None:
        self.record = SigningRecord(None, CONSTANTS.genesis_validators_root, public_key_shares)

    @property
    def rows(self) -> int:
        """How much is on it, but for blocks: of each that was signed a row stays for good."""
        connection = self.record._protection.file.connection
        tables = ("duties", "attestations", "validators")
        return sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


class _Mounted:
    """A disk as one program has it: what is dead writes nothing."""

    def __init__(self, disk: Disk, program: Program) -> None:
        self._disk, self._program = disk, program

    def add(self, *what: Any, **more: Any) -> list[str]:
        if not self._program.is_alive:
            raise SlashingProtectionError("the program is dead")
        return self._disk.record.add(*what, **more)


def signer(
    disk: Disk, key_shares: np.ndarray, cluster: ClusterMembers, program: Program, workers: Workers
) -> DutySigner:
    """A program's signer, with key shares uint8[m, 32] of its node."""
    keys = NodeKeys("simulated", cluster.position + 1, cluster.keys.public_keys.encoded, key_shares.copy())
    record: Any = _Mounted(disk, program)
    return DutySigner(
        KeySharesInMemory(keys, cluster, workers, threads=1),
        record,
        workers,
        CONSTANTS.schedule,
        preset=PRESET,
    )
