"""What `dvtfast p2p-relay` can be told: by the flags of `charon relay`, and its variables."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from .. import parsing, shared
from ..charon import charon
from . import hosts, texts


@dataclasses.dataclass(frozen=True, kw_only=True)
class P2PRelaySettings(hosts.ReachableSettings):
    """What `dvtfast p2p-relay` can be told."""

    data_dir: Path = charon(
        "--data-dir",
        parsing.path,
        "Where its key is kept, charon-enr-private-key; one is made when there is none. Not a node's folder.",
        default="p2p-relay",
        metavar="DIR",
    )
    p2p_tcp_address: tuple[tuple[str, int], ...] = hosts.tcp_address(
        "Where peers connect; repeatable. Port 3641 of all addresses when not set."
    )
    http_address: tuple[str, int] = charon(
        "--http-address",
        texts.endpoint,
        "Where nodes look up where it is: / is a JSON list of multiaddrs, /enr its node record.",
        default="127.0.0.1:3640",
        metavar="ADDRESS:PORT",
    )
    p2p_advertise_private_addresses: bool = charon(
        "--p2p-advertise-private-addresses",
        parsing.switch,
        "Tell of private and loopback addresses, too: for tests, and for networks of your own.",
        default="false",
    )
    p2p_max_reservations: int = charon(
        "--p2p-max-reservations",
        parsing.count,
        "How many peers of one address may be reached through it, and how many circuits one peer may have.",
        default="512",
        metavar="N",
    )
    p2p_max_connections: int = charon(
        "--p2p-max-connections",
        parsing.count,
        "How many peers may be connected, and reached.",
        default="16384",
        metavar="N",
    )
    metrics_port: int | None = shared.metrics_port()
    metrics_host: str = shared.metrics_host()
