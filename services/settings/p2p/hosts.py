"""Where a program that speaks libp2p listens, and how others reach it, by charon's flags."""

from __future__ import annotations

import dataclasses
from typing import Any

from .. import parsing
from ..charon import CharonSettings, charon
from . import texts


def tcp_address(help: str) -> Any:
    """Where it listens."""
    return charon("--p2p-tcp-address", texts.endpoint, help, many=True, metavar="ADDRESS:PORT,...")


def relays(unset: str) -> Any:
    """Through which relays nodes meet; `unset` says what then is."""
    return charon(
        "--p2p-relays",
        texts.relay,
        "Relays through which nodes find each other: addresses that name theirs, or multiaddrs that end in"
        f" /p2p/ID; `dvtfast p2p-relay` is one. {unset}",
        many=True,
        metavar="URL|MULTIADDR,...",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReachableSettings(CharonSettings):
    """How others reach what listens."""

    p2p_external_ip: str | None = charon(
        "--p2p-external-ip",
        texts.ip,
        "The address at which others reach it, with the ports of --p2p-tcp-address.",
        optional=True,
        metavar="ADDRESS",
    )
    p2p_external_hostname: str | None = charon(
        "--p2p-external-hostname",
        parsing.text,
        "The name at which others reach it.",
        optional=True,
        metavar="NAME",
    )

    @property
    def external_names(self) -> list[str]:
        """Address and name, as far as they are set."""
        return [name for name in (self.p2p_external_ip, self.p2p_external_hostname) if name]
