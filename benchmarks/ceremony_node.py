"""`dvtfast dkg`, with a line of JSON in the end: what its parts took, and how many bytes it sent.

Parts begin where the program calls what it has for them; nothing in it needs to know of being measured.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from dvtfast.dkg.dvtfast_dkg.work import Work
from dvtfast.services import cli
from dvtfast.services.ceremony import protocol
from dvtfast.services.ceremony.storing import NodeStore

# Of what begins with the call of a function.
PARTS = (
    (protocol, "run_ceremony", "keys"),
    (Work, "sigs", "signatures"),
    (Work, "lock", "lock"),
    (NodeStore, "write", "files"),
    (NodeStore, "publish", "end"),
)
EVENT = "measured"


class Meter:
    """The sums of this process by part, the first of which is its start."""

    def __init__(self) -> None:
        self.sent = 0
        self.parts: dict[str, dict[str, float]] = {}
        self._part, self._since = "start", (time.monotonic(), 0.0, 0)

    def begin(self, part: str) -> None:
        """What comes now belongs to this part."""
        now = (time.monotonic(), time.process_time(), self.sent)
        names = ("seconds", "cpu_seconds", "bytes")
        spent = {name: after - before for name, before, after in zip(names, self._since, now, strict=True)}
        known = self.parts.get(self._part, {})
        self.parts[self._part] = {name: value + known.get(name, 0) for name, value in spent.items()}
        self._part, self._since = part, now

    def beginning(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """A function with which a part begins."""

        @wraps(function)
        def begun(*arguments: Any, **others: Any) -> Any:
            self.begin(part)
            return function(*arguments, **others)

        return begun

    def counting(self, send: Callable[..., int]) -> Callable[..., int]:
        """How a socket sends, counted."""

        @wraps(send)
        def counted(*arguments: Any) -> int:
            sent = send(*arguments)
            self.sent += sent
            return sent

        return counted


def main() -> None:
    """As `dvtfast dkg` with the same arguments."""
    meter = Meter()
    for owner, name, part in PARTS:
        setattr(owner, name, meter.beginning(getattr(owner, name), part))
    for name in ("send", "sendmsg"):
        setattr(socket.socket, name, meter.counting(getattr(socket.socket, name)))
    try:
        cli.main(["dkg", *sys.argv[1:]])
    finally:
        meter.begin("")
        print(json.dumps({"event": EVENT, "parts": meter.parts}), flush=True)


if __name__ == "__main__":
    main()
