"""Ports for servers that keep theirs when they are started again."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Below those that systems give to connections (Linux: from 32768 on): it stays free while a server is down.
PORTS = range(10_000, 32_768)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of this machine that nobody listens on now; they differ."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(PORTS, len(PORTS)):
            if len(ports) == count:
                break
            try:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            ports.append(port)
    return tuple(ports)


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
