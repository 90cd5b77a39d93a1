"""Where a relay is: a multiaddr that ends in /p2p/ID, or a URL that answers with a JSON list of them, or
with a node record (ENR) that has an address.

A URL is asked again whenever the relay is not there: its address and its key may have changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dvtfast.errors import InputError
from dvtfast.obol import read_enr

from ...web.bounded import AnswerError
from ...web.outgoing import OutgoingError, Session
from ..errors import UnreachableError, WireError
from ..wire.addresses import Multiaddr
from ..wire.peers import ENR_PREFIX

SECONDS = 10.0
MOST_ANSWER_BYTES = 64 * 1024
MOST_ADDRESSES = 64
_OK = 200


@dataclass(frozen=True)
class RelayPlace:
    """A relay.

    Attributes:
        peer: its key.
        endpoints: hosts and ports of TCP where it is said to be.
    """

    peer: bytes
    endpoints: tuple[tuple[str, int], ...]


def is_url(relay: str) -> bool:
    """Whether a relay is to be asked for over HTTP."""
    return relay.startswith(("http://", "https://"))


def place_of(addresses: Sequence[str]) -> RelayPlace:
    """The relay that multiaddrs are of; those that are not TCP's are passed over.

    Raises:
        WireError: they are of none, or of several.
    """
    if len(addresses) > MOST_ADDRESSES:
        raise WireError(f"relay: expected at most {MOST_ADDRESSES} addresses, got {len(addresses)}")
    found: list[Multiaddr] = []
    for text in addresses:
        try:
            found.append(Multiaddr.from_text(text))
        except WireError:
            if len(addresses) == 1:
                raise
    usable = [(address.peer, address.endpoint) for address in found]
    peers = {peer for peer, _ in usable if peer is not None}
    endpoints = [endpoint for peer, endpoint in usable if peer is not None and endpoint is not None]
    if len(peers) != 1 or not endpoints:
        raise WireError(
            "relay: expected TCP addresses of one peer, such as /ip4/192.0.2.1/tcp/3640/p2p/16Uiu2HA..."
        )
    return RelayPlace(peers.pop(), tuple(dict.fromkeys(endpoints)))


async def look_up(relay: str, headers: Mapping[str, str]) -> RelayPlace:
    """Where a relay is now.

    Args:
        headers: what a URL is asked with, such as `Charon-Cluster`.

    Raises:
        UnreachableError: nobody says so.
        WireError: what was said is of no use.
    """
    if not is_url(relay):
        return place_of([relay])
    try:
        async with Session(SECONDS) as session:
            answer = await session.ask("GET", relay, limit_bytes=MOST_ANSWER_BYTES, headers=headers)
    except (OutgoingError, AnswerError) as error:
        raise UnreachableError(f"relay look-up: {error}") from None
    if answer.status != _OK:
        raise UnreachableError(f"relay look-up: HTTP {answer.status}")
    if answer.content.startswith(ENR_PREFIX.encode()):
        return _place_of_record(answer.content.decode(errors="replace").strip())
    try:
        addresses = json.loads(answer.content)
    except (ValueError, RecursionError):
        raise WireError("relay look-up: expected a JSON list of multiaddrs") from None
    if not isinstance(addresses, list) or not all(isinstance(each, str) for each in addresses):
        raise WireError("relay look-up: expected a JSON list of multiaddrs")
    return place_of(addresses)


def _place_of_record(record: str) -> RelayPlace:
    try:
        found = read_enr(record)
    except InputError as error:
        raise WireError(f"relay look-up: {error}") from None
    if not found.ip or not found.tcp:
        raise WireError("relay look-up: a node record without an address and a port of TCP")
    return RelayPlace(found.public_key, ((found.ip, found.tcp),))
