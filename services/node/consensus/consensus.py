"""What a cluster agrees on, duty by duty, over libp2p.

async with Consensus.open(host, key, nodes, deadlines, workers, validators=100) as consensus:
    agreement = await consensus.agree(duty, value)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from dvtfast.duties.message_sizes import MOST_BYTES, MessageSizes
from dvtfast.errors import DvtfastError
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty
from dvtfast.secp256k1 import IdentityKey

from ...p2p.errors import P2PError
from ...p2p.swarm.exchange import RECEIVE_SECONDS, Terms
from ...process import logs
from ...process.background import Tasks, result_of
from ...process.offload import StoppedError, UnavailableError, Workers
from ..deadlines import Deadlines
from ..junk import Junk, NotNowError
from ..transport import Transport
from .instance import Accepts, Agreement, Instance
from .message_checks import Checked, Checks

# Of values that one node spoke of first, in all duties: two blocks, however large.
MOST_VALUE_BYTES: Final = 2 * MOST_BYTES
MOST_SENDS: Final = 64  # to one peer at once; what is more is lost, as what a peer does not hear is
MOST_KNOWN: Final = 8192  # duties that are remembered when they are over; of some hours
INCOMING: Final = Terms(most_bytes=MOST_BYTES, seconds=RECEIVE_SECONDS, is_answered=False)

log = logs.get("consensus")


class Consensus:
    """One node's part in all duties of its cluster."""

    def __init__(
        self,
        host: Transport,
        key: IdentityKey,
        nodes: Sequence[bytes],
        deadlines: Deadlines,
        workers: Workers,
        validators: int,
    ) -> None:
        self._host, self._key, self._nodes = host, key, tuple(nodes)
        self._position = self._nodes.index(key.public_key)
        self._deadlines = deadlines
        self._workers = workers
        self._checks = Checks(nodes, MessageSizes(len(nodes), validators), deadlines.is_agreed_on)
        self._instances: dict[Duty, Instance] = {}
        self._known: dict[Duty, None] = {}  # oldest first; a clock that is set back makes none anew
        self._ends: dict[Duty, asyncio.TimerHandle] = {}
        self._junk = Junk(log.info, "message not used")
        self._tasks = Tasks()
        self._sending: Counter[int] = Counter()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        host: Transport,
        key: IdentityKey,
        nodes: Sequence[bytes],
        deadlines: Deadlines,
        workers: Workers,
        *,
        validators: int,
    ) -> AsyncIterator[Self]:
        """Take part, inside the block.

        Args:
            host: with all other nodes as peers.
            key: of this node.
            nodes: the keys of all nodes, in the order of the cluster.
            deadlines: which duties there are now.
            workers: for signatures and hashes of what others send.
            validators: how many the cluster has.
        """
        consensus = cls(host, key, nodes, deadlines, workers, validators)
        host.handle(wire.PROTOCOL, consensus._received, terms=INCOMING)
        try:
            yield consensus
        finally:
            host.forget(wire.PROTOCOL)
            await consensus._close()

    async def agree(
        self, duty: Duty, value: wire.Value | None = None, *, accepts: Accepts | None = None
    ) -> Agreement:
        """Begin with a duty, once, and wait for what comes of it.

        Args:
            duty: which one; of a type that nodes agree on.
            value: what this node would propose; None: it does not know yet, see `provide`.
            accepts: asked of each value that another node proposes as its own, and its round; None: this node
                votes for all.

        Raises:
            TimeoutError: the duty is over.
        """
        instance = self._instance(duty)
        if instance is None:
            raise TimeoutError(f"{duty} is over, or too far ahead")
        instance.start(await self._hashed(value), accepts)
        try:
            return await result_of(instance.agreement)
        except StoppedError:
            raise TimeoutError(f"{duty}: the nodes did not agree in time") from None

    async def provide(self, duty: Duty, value: wire.Value) -> None:
        """What this node would propose for a duty is known now; nothing if the duty is over."""
        own = await self._hashed(value)
        instance = self._instances.get(duty)
        if instance is not None and own is not None:
            instance.provide(own)

    async def _hashed(self, value: wire.Value | None) -> tuple[bytes, wire.Value] | None:
        return None if value is None else (await self._workers.run(value.hash), value)

    # What others say.

    async def _received(self, peer: bytes, data: bytes) -> None:
        try:
            checked = await self._workers.run_in_turn(peer, self._checks.check, data)
        except (DvtfastError, NotNowError, UnavailableError, TimeoutError) as error:
            self._junk.tell(self._nodes.index(peer), error)
            return
        instance = self._instance(checked.message.duty)
        if instance is not None and self._has_room(instance, checked):
            instance.hear(checked)

    def _has_room(self, instance: Instance, checked: Checked) -> bool:
        """Whether a node's values are not too much; what is known already costs nothing."""
        more, signer = instance.new_bytes(checked), checked.message.peer
        if not more:
            return True
        held = sum(each.bytes_of(signer) for each in self._instances.values())
        if held + more <= MOST_VALUE_BYTES:
            return True
        log.warning("message not used", peer=signer, why="its values are too many bytes")
        return False

    def _instance(self, duty: Duty) -> Instance | None:
        """A duty's, made when it is first spoken of; None if nobody agrees on it now."""
        if duty not in self._known and self._deadlines.is_agreed_on(duty):
            self._known[duty] = None
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._instances[duty] = Instance(
                duty, self._key, len(self._nodes), self._position, self._deadlines, self._send, self._tasks
            )
            self._ends[duty] = self._end_later(duty)
        return self._instances.get(duty)

    def _end_later(self, duty: Duty) -> asyncio.TimerHandle:
        wait = self._deadlines.seconds_until(self._deadlines.deadline(duty))
        return asyncio.get_running_loop().call_later(wait, self._end, duty)

    def _end(self, duty: Duty) -> None:
        self._ends.pop(duty).cancel()
        self._instances.pop(duty).close()

    # What this node says.

    def _send(self, peer: int, data: bytes) -> None:
        if self._sending[peer] < MOST_SENDS:
            self._sending[peer] += 1
            self._tasks.start(self._sent(peer, data))

    async def _sent(self, peer: int, data: bytes) -> None:
        try:
            await self._host.send(self._nodes[peer], wire.PROTOCOL, data)
        except (P2PError, TimeoutError) as error:
            log.debug("message not sent", peer=peer, why=str(error))
        finally:
            self._sending[peer] -= 1

    async def _close(self) -> None:
        for duty in list(self._instances):
            self._end(duty)
        await self._tasks.close()
