"""The chain as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ...chain.encoding import write_data

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.05
SHOWN_LINES: Final = 15  # of the log of one that died


class BeaconDiedError(Exception):
    """The chain ended, or does not listen."""


@contextmanager
def running(
    folder: Path, public_keys: Sequence[bytes], options: Sequence[str] = ()
) -> Iterator[tuple[str, ...]]:
    """Run a chain of these validators inside the block; yields the addresses of its nodes.

    Args:
        folder: for its log and the list of its validators; it must be there.
        options: of `python -m dvtfast.services.demo.beacon`, such as `--beacon-nodes 4`.

    Raises:
        BeaconDiedError: it cannot run.
    """
    validators, log = folder / "chain-validators.txt", folder / "chain.log"
    validators.write_text("".join(f"{write_data(key)}\n" for key in public_keys))
    command = [
        sys.executable, "-m", "dvtfast.services.demo.beacon", "--log-format", "json",
        "--validators", str(validators), *options,
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield tuple(f"http://127.0.0.1:{port}" for port in _ports(process, log))
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ports(process: subprocess.Popen[bytes], log: Path) -> list[int]:
    """Where it listens, as it says."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_bytes().splitlines():
            if b'"listening"' in line:
                return list(msgspec.json.decode(line)["ports"])
        time.sleep(LOOK_SECONDS)
    last = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
    raise BeaconDiedError("\n".join(["the beacon chain does not run:", *last]))
