"""Bytecode of Vyper contracts, compiled once for each text of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec

from ...chain.encoding import read_data
from .anvil import REPOSITORY

CONTRACTS = Path(__file__).parent / "contracts"
COMPILE_SECONDS = 300.0


class CompileError(Exception):
    """Vyper refuses a contract; the message is Vyper's."""


def compiled(folder: Path = CONTRACTS) -> Mapping[str, bytes]:
    """What to deploy, by contract: of each Vyper file directly in `folder`.

    It is kept in `build/contracts`, or in the machine's temporary directory where dvtfast is installed
    without its repository, under a name that the sources and Vyper's version determine.

    Raises:
        CompileError: Vyper refuses a contract.
    """
    kept = _cache() / f"{_identity(folder)}.json"
    try:
        texts = msgspec.json.decode(kept.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        texts = _compile(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(msgspec.json.encode(texts))
        unfinished.replace(kept)  # others may compile at the same time
    return {name: read_data(text) for name, text in texts.items()}


def _compile(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("*.vy"))
    command = [sys.executable, "-m", "vyper", "-f", "bytecode", *(file.name for file in files)]
    done = subprocess.run(  # noqa: S603 - our own files, no shell
        command, cwd=folder, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise CompileError(done.stderr)
    return dict(zip((file.stem for file in files), done.stdout.split(), strict=True))


def _identity(folder: Path) -> str:
    texts = [version("vyper").encode()]
    for file in sorted(folder.rglob("*.vy")):
        texts += [file.name.encode(), file.read_bytes()]
    return hashlib.sha256(b"".join(hashlib.sha256(text).digest() for text in texts)).hexdigest()


def _cache() -> Path:
    if (REPOSITORY / "Makefile").is_file():
        return REPOSITORY / "build" / "contracts"
    return Path(tempfile.gettempdir()) / f"dvtfast-contracts-{os.getuid()}"
