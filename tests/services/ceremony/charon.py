"""A charon of others, which is run and not looked into."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from dvtfast.services.demo.world.ports import free_ports

CHARON = os.environ.get("DVTFAST_CHARON", "")
NO_CHARON = "DVTFAST_CHARON names no charon"
SECONDS = 600.0  # for a handful of processes on a busy machine
PAUSE_SECONDS = 0.1
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Charon:
    """A process of it; what it says goes to a file."""

    def __init__(self, output: Path, *arguments: str) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [CHARON, *arguments, "--log-color=disable"], stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return COLOURS.sub("", self._output.read_text(errors="replace"))

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def result(self) -> int:
        """How it ends."""
        return self._process.wait(SECONDS)

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.said or self._process.poll() is not None, lambda: self.said)
        assert text in self.said, self.said

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(SECONDS)

    def stop(self) -> int:
        """Ask it to end, and wait for that."""
        self._process.terminate()
        try:
            return self._process.wait(SECONDS)
        finally:
            self._process.kill()


def until(condition, what=lambda: "") -> None:
    """Wait until something is so."""
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline, what()
        sleep(PAUSE_SECONDS)


def answers(url: str) -> bool:
    """Whether a server says that it is well."""
    with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status == 200
    return False


def once(*arguments: str) -> tuple[int, str]:
    """What a command that ends by itself comes to."""
    done = subprocess.run([CHARON, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def charons_relay(directory: Path) -> Iterator[str]:
    """Charon's relay; its URL."""
    http, tcp = free_ports(2)
    data = directory / "relay"
    data.mkdir()
    url = f"http://127.0.0.1:{http}"
    relay = Charon(
        directory / "relay.log", "relay", f"--data-dir={data}", "--auto-p2pkey",
        "--p2p-advertise-private-addresses", f"--http-address=127.0.0.1:{http}",
        f"--p2p-tcp-address=127.0.0.1:{tcp}", "--p2p-external-ip=127.0.0.1", "--p2p-relays=",
    )  # fmt: skip
    try:
        until(lambda: answers(url), lambda: relay.said)
        yield url
    finally:
        relay.stop()


@contextmanager
def our_relay(directory: Path) -> Iterator[str]:
    """Ours; its URL."""
    http, tcp = free_ports(2)
    url = f"http://127.0.0.1:{http}"
    command = [
        *(sys.executable, "-m", "dvtfast.services", "p2p-relay", "--data-dir", str(directory / "relay")),
        *("--http-address", f"127.0.0.1:{http}", "--p2p-tcp-address", f"127.0.0.1:{tcp}"),
        "--p2p-advertise-private-addresses",
    ]
    with subprocess.Popen(command) as relay:
        try:
            until(lambda: answers(url))
            yield url
        finally:
            relay.terminate()
