"""Oracles as processes: their keys, the protocol config, start and stop."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from coincurve import PrivateKey

from dvtfast.protocol_config import OracleConfig, write_oracle_config

from ...chain.encoding import write_address, write_data
from ..protocol_policy import POLICY
from .deployed_contracts import World, address_of_oracle
from .ports import free_ports

START_SECONDS = 60.0
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.05
SHOWN_LINES = 15  # of the log of one that died


class OracleDiedError(Exception):
    """An oracle ended, or does not listen."""


@dataclass(frozen=True)
class OracleSet:
    """Oracles, in the order of their config.

    Attributes:
        config: the file.
        ports: on loopback, where they listen when they run.
    """

    config: Path
    ports: tuple[int, ...]
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def addresses(self) -> list[bytes]:
        """Of their accounts."""
        return [address_of_oracle(_public_key(secret)) for secret in self.secrets]


def make_oracles(folder: Path, count: int, *, threshold: int, **policy: Any) -> OracleSet:
    """Keys and a config for oracles on this machine; none is started.

    Args:
        folder: where files and logs go; it must be there.
        threshold: that many of them recover an exit.
        policy: other fields of the config, such as `validators_approval_batch_limit`.
    """
    secrets = tuple(PrivateKey().secret for _ in range(count))
    ports = free_ports(count)
    for position, secret in enumerate(secrets):
        key_file = folder / f"oracle{position}.key"
        key_file.touch(mode=0o600)
        key_file.write_text(write_data(secret))
    config = OracleConfig(
        public_keys=np.frombuffer(b"".join(map(_public_key, secrets)), np.uint8).reshape(count, -1),
        endpoints=tuple((f"http://127.0.0.1:{port}/",) for port in ports),
        exit_signature_recover_threshold=threshold,
        raw={**POLICY, **policy},
    )
    write_oracle_config(folder / "protocol-config.json", config)
    return OracleSet(folder / "protocol-config.json", ports, secrets)


class RunningOracle:
    """A process of one oracle, which can be stopped and started again."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `wait` for it."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                self._command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=self._log.parent,
            )

    def wait(self) -> None:
        """Wait until it listens.

        Raises:
            OracleDiedError: it ended instead, or takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.events("listening"):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                last = self._log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
                raise OracleDiedError("\n".join([f"{self._log.stem} does not run:", *last]))
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """End it, as an outage does."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines that it has logged of this event since its start."""
        lines = []
        for line in self._log.read_bytes().splitlines():
            try:
                decoded = msgspec.json.decode(line)
            except msgspec.DecodeError:  # a traceback, or a line half written
                continue
            if isinstance(decoded, dict) and decoded.get("event") == name:
                lines.append(decoded)
        return lines


@contextmanager
def running(
    world: World, oracles: OracleSet, *, uploads: Path | None = None
) -> Iterator[list[RunningOracle]]:
    """Run the oracles inside the block, all of them listening; yields one for each.

    Args:
        uploads: the directory in which they keep what would go to IPFS.

    Raises:
        OracleDiedError: one cannot run.
    """
    folder = oracles.config.parent
    started: list[RunningOracle] = []
    with ExitStack() as stack:
        for position, port in enumerate(oracles.ports):
            command = [
                sys.executable, "-m", "dvtfast.services.demo.oracle", "--log-format", "json",
                "--oracle-port", str(port), "--oracle-key-file", str(folder / f"oracle{position}.key"),
                "--oracles", str(oracles.config), *options(world), "--first-block", str(world.first_block),
            ]  # fmt: skip
            if uploads is not None:
                command += ["--uploads", str(uploads)]
            oracle = RunningOracle(command, folder / f"oracle{position}.log")
            stack.callback(oracle.stop)
            oracle.start()
            started.append(oracle)
        for oracle in started:
            oracle.wait()
        yield started


def options(world: World) -> list[str]:
    """What each program is told of the world: its network, its node, and where the contracts are."""
    return [
        "--network", "hoodi", "--execution-endpoint", world.chain.url,
        "--deposit-contract", write_address(world.deposit_contract.address),
        "--keeper", write_address(world.keeper.address),
        "--deposit-data-registry", write_address(world.registry.address),
    ]  # fmt: skip


def _public_key(secret: bytes) -> bytes:
    return PrivateKey(secret).public_key.format(compressed=False)[1:]
