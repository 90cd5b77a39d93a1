"""What nodes say of themselves to each other: versions, clusters, clocks.

Nothing depends on it but what people are told.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dvtfast.protobuf import ProtobufError

from ..p2p.errors import P2PError
from ..p2p.swarm.exchange import RECEIVE_SECONDS, Terms
from .transport import Transport
from .wire.peer_info import LIMIT_BYTES, NANOSECONDS, PROTOCOL, PeerInfo

EVERY_SECONDS: Final = 60.0
CLIENT: Final = "dvtfast"
# The release of charon that it is like; charon's nodes look whether they know it.
CHARON_VERSION: Final = "v1.11.0"
GIT_HASH: Final = re.compile(r"[0-9a-f]{7}|unknown")
MOST_TEXT: Final = 64  # characters of what a peer says that are shown
TERMS: Final = Terms(most_bytes=LIMIT_BYTES)
TAKEN: Final = Terms(most_bytes=LIMIT_BYTES, seconds=RECEIVE_SECONDS)
CLOCK_SECONDS: Final = 0.2  # by which clocks may differ


@dataclass(frozen=True)
class PeerReport:
    """What a peer said last.

    Attributes:
        version: of charon that it is like.
        client: which program it is.
        nickname: what its operator calls it.
        clock_offset: how much its clock is ahead of ours, seconds.
        problems: for people.
    """

    version: str = ""
    client: str = ""
    nickname: str = ""
    clock_offset: float = 0.0
    problems: tuple[str, ...] = ()


class PeerInfos:
    """Answers what this node is, and asks the others.

    Args:
        transport: to the peers.
        peers: their keys.
        lock_hash: of the cluster, 32 bytes.
        now: this machine's clock, Unix seconds.

    Attributes:
        reports: of each peer that has answered, by its key.
    """

    def __init__(
        self,
        transport: Transport,
        peers: Sequence[bytes],
        lock_hash: bytes,
        *,
        nickname: str = "",
        builder: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.reports: dict[bytes, PeerReport] = {}
        self._transport = transport
        self._peers = peers
        self._now = now
        self._own = PeerInfo(
            CHARON_VERSION, lock_hash, None, self._moment(), builder=builder, nickname=nickname, client=CLIENT
        )
        transport.handle(PROTOCOL, self._answer, terms=TAKEN)

    async def run(self) -> None:
        """Ask all peers every minute, until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.ask()

    async def ask(self) -> None:
        """Ask all peers once."""
        await asyncio.gather(*map(self._ask, self._peers))

    async def _ask(self, peer: bytes) -> None:
        begin = self._now()
        try:
            answer = await self._transport.request(peer, PROTOCOL, self._said().encode(), terms=TERMS)
            info = PeerInfo.decode(answer)
        except ProtobufError as error:
            self.reports[peer] = PeerReport(problems=(f"its answer is none: {error}",))
            return
        except (P2PError, TimeoutError):
            self.reports.pop(peer, None)  # the transport says why
            return
        self.reports[peer] = self._report(info, (begin + self._now()) / 2)

    def _report(self, info: PeerInfo, middle: float) -> PeerReport:
        problems = []
        offset = 0.0
        if info.sent_at is None or info.started_at is None:
            problems.append("it does not say what its clock shows")
        else:
            offset = info.sent_at / NANOSECONDS - middle
            if abs(offset) > CLOCK_SECONDS:
                problems.append(f"its clock is {abs(offset):.2f} s {'ahead' if offset > 0 else 'behind'}")
        if info.lock_hash != self._own.lock_hash:
            problems.append("it has another cluster lock")
        if info.builder != self._own.builder:
            problems.append(f"it {'wants' if info.builder else 'does not want'} blocks of builders")
        if not GIT_HASH.fullmatch(info.git_hash):
            problems.append("its git hash is none")
        return PeerReport(
            shown(info.charon_version), shown(info.client), shown(info.nickname), offset, tuple(problems)
        )

    def _said(self) -> PeerInfo:
        return replace(self._own, sent_at=self._moment())

    async def _answer(self, _peer: bytes, _message: bytes) -> bytes:
        return self._said().encode()

    def _moment(self) -> int:
        return round(self._now() * NANOSECONDS)


def shown(text: str) -> str:
    """What a peer says, fit to be shown."""
    return "".join(character for character in text if character.isprintable())[:MOST_TEXT]
