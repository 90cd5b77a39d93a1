"""A real EVM node on loopback: anvil, as npm brings it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHAIN_ID = 560048  # hoodi's
START_SECONDS = 20.0
STOP_SECONDS = 5.0
REPOSITORY = Path(__file__).parents[3]
# One account owns the contracts, and pays for deposits in the millions of ETH if a test wants it so.
OPTIONS = ("--host", "127.0.0.1", "--threads", "1", "--balance", "1000000000000")


class NoAnvilError(Exception):
    """There is no EVM node on this machine, or it does not start; the message says what to do."""


def binary() -> Path | None:
    """The program itself, not npm's wrapper: what `make build/anvil/made` brought, or one on the PATH."""
    folder = REPOSITORY / "build" / "anvil" / "node_modules" / "@foundry-rs"
    if found := next(folder.glob("anvil-*/bin/anvil*"), None):
        return found
    on_path = shutil.which("anvil")
    return Path(on_path) if on_path else None


@contextmanager
def running(
    folder: Path,
    *,
    block_seconds: int | None = None,
    genesis: int | None = None,
    port: int = 0,
    state: Path | None = None,
) -> Iterator[str]:
    """Run anvil inside the block; yields its address.

    Args:
        folder: where its log goes.
        block_seconds: mine a block that often; when not given, only when told to.
        genesis: the Unix time of the first block; now when not given.
        port: 0 for any that is free.
        state: where the chain is kept for the next start; it goes with the process when not given.

    Raises:
        NoAnvilError: there is none, or it does not start.
    """
    program = binary()
    if program is None:
        raise NoAnvilError("no anvil on this machine: `make build/anvil/made` brings it from npm")
    output = folder / "anvil.log"
    mining = ["--no-mining"] if block_seconds is None else ["--block-time", str(block_seconds)]
    began = [] if genesis is None else ["--timestamp", str(genesis)]
    kept = [] if state is None else ["--state", str(state)]
    command = [
        str(program),
        *OPTIONS,
        "--port",
        str(port),
        "--chain-id",
        str(CHAIN_ID),
        *mining,
        *began,
        *kept,
    ]
    with output.open("wb") as log:
        # A session of its own: Ctrl-C reaches who started it, who then stops it.
        process = subprocess.Popen(  # noqa: S603 - a program that we found, no shell
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield _address_in(output, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address_in(output: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", output.read_text(errors="replace")):
            return f"http://{found[1]}"
        time.sleep(0.02)
    raise NoAnvilError(f"anvil did not start:\n{output.read_text(errors='replace')}")
