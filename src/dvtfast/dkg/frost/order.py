"""The order of a charon ceremony, told by one node.

    connect, 1 keys, 2 deposits, 3 registrations, 4 lock, 5 node signatures, 6 store, 7 stored, 8 ready to end

When a step has ended a node reports the next one, and begins with it when everybody reports it. So nobody
signs anything before everybody has its keys, and ours are on the disk before we report that. All is well
when everybody has stored; what follows is for those who have not heard of it yet.

Source: charon, dkg/dkg.go.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast.dkg.frost import keygen, signing
from dvtfast.dkg.frost.casts import Round2, Shares
from dvtfast.dkg.frost.dialects import NODE_SIGNATURE, PARTIALS, ROUND1, ROUND2, SHARES
from dvtfast.dkg.frost.inbox import TYPES, Inbox, PeerError
from dvtfast.dkg.frost.messages import BadMessageError, NodeSignature, Wrapped
from dvtfast.dkg.frost.outputs import Ask, Generated, LockWanted, Output, Sealed
from dvtfast.dkg.frost.partials import LOCK_HASH, encode_partials, key_text
from dvtfast.dkg.frost.terms import DEPOSITS_STEP, REGISTRATIONS_STEP, Terms
from dvtfast.dkg.outputs import Finished, GeneratedKeys, Phase, Send
from dvtfast.keys import PublicKeys
from dvtfast.protobuf import ProtobufError
from dvtfast.secp256k1 import IdentityKey, recovered_signer
from dvtfast.signatures import sign

KEYS_STEP, LOCK_STEP, NODES_STEP, STORE_STEP, STORED_STEP, READY_STEP = 1, 4, 5, 6, 7, 8
STEP_NAMES = {
    KEYS_STEP: "key generation",
    DEPOSITS_STEP: "deposits",
    REGISTRATIONS_STEP: "registrations",
    LOCK_STEP: "the lock",
    NODES_STEP: "node signatures",
    STORE_STEP: "storing",
    STORED_STEP: "everybody has stored",
    READY_STEP: "the end",
}
# The first phase, in which all come together.
CONNECTING = "connecting"
# Of keys that differ: see broadcast.py.
NOBODY = "it lies, or another node has told it something else than us, which nothing here can tell"

T = TypeVar("T")
Story: TypeAlias = Generator[None, None, T]
"""Work that stops wherever it waits for others."""


class Order:
    """What one node does, and when.

    Attributes:
        phase: where it is, and for whom it waits.
        is_sealed: whether the lock is whole, so that others may have it.
        is_finished: whether all have stored everything, so that whoever goes away does no harm.
        lock_hash, is_kept, is_stored, may_end: what the driver has to say, when it has.
    """

    def __init__(self, terms: Terms, key: IdentityKey, inbox: Inbox, dealing: keygen.Dealing | None) -> None:
        self._terms, self._key, self._inbox, self._dealing = terms, key, inbox, dealing
        self._keys: GeneratedKeys | None = None
        self._outputs: list[Output] = []
        self.phase = Phase("beginning")
        self.lock_hash: bytes | None = None
        self.is_kept = self.is_sealed = self.is_stored = self.is_finished = self.may_end = False

    def taken_outputs(self) -> list[Output]:
        """What is to be done since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def forget(self) -> None:
        """Overwrite what is secret, unless the driver has it already."""
        self._inbox.forget()
        if self._dealing is not None:
            self._dealing.wipe()
        if self._keys is not None:
            self._keys.wipe()

    def run(self) -> Story[None]:
        """The ceremony, from connecting to the end.

        Raises:
            PeerError, BadDealerError, BrokenRuleError: it cannot go on.
        """
        inbox, terms = self._inbox, self._terms
        yield from self._until(CONNECTING, inbox.steps.unconnected)
        yield from self._reach(KEYS_STEP)
        keys, shares = yield from self._generate_keys()
        self._outputs.append(Generated(keys))
        yield from self._wait_here("keeping the keys", lambda: self.is_kept)
        signatures: dict[str, Bytes] = {}
        for step in (DEPOSITS_STEP, REGISTRATIONS_STEP):
            yield from self._reach(step)
            for exchange in terms.exchanges:
                if exchange.step == step:
                    roots = exchange.roots(keys.public_keys)
                    sent = yield from self._exchange(exchange.name, exchange.slot, keys, roots)
                    with _blaming():
                        signatures[exchange.name] = signing.combine(
                            shares, terms.threshold, roots, sent, terms.position
                        )
        yield from self._reach(LOCK_STEP)
        self._outputs.append(LockWanted(keys, signatures))
        lock_hash = yield from self._wait_for_lock_hash()
        roots = np.tile(np.frombuffer(lock_hash, np.uint8), (terms.validators, 1))
        sent = yield from self._exchange("lock hash", LOCK_HASH, keys, roots)
        with _blaming():
            total = signing.add_up(shares, lock_hash, sent, terms.position)
        yield from self._reach(NODES_STEP)
        node_signatures = yield from self._sign_as_nodes(lock_hash)
        yield from self._reach(STORE_STEP)
        self._keys = None  # they are the driver's now, who may be writing them when others fail
        self.is_sealed = True
        self._outputs.append(Sealed(keys, signatures, lock_hash, total, node_signatures))
        yield from self._wait_here(STEP_NAMES[STORE_STEP], lambda: self.is_stored)
        yield from self._reach(STORED_STEP)
        self.is_finished = True
        self._outputs.append(Finished(keys))
        yield from self._reach(READY_STEP)
        inbox.steps.shutdown = True
        yield from self._until(STEP_NAMES[READY_STEP], inbox.steps.not_ending)

    def _generate_keys(self) -> Story[tuple[GeneratedKeys, PublicKeys]]:
        inbox, terms, own = self._inbox, self._terms, self._terms.position
        if self._dealing is None:
            self._dealing = keygen.Dealing.draw(terms.validators, terms.threshold, own)
        dealing = self._dealing
        inbox.round1[own] = dealing.cast
        yield from self._broadcast("commitments", ROUND1, dealing.cast.encode(own))
        for peer in terms.peers:
            shares = Shares(dealing.shares_for(peer))
            self._outputs.append(Send(peer, SHARES, shares.encode(own, peer)))
            shares.wipe()
        inbox.shares[own] = Shares(dealing.shares_for(own))
        dealing.wipe()
        yield from self._until(
            "commitments and shares of others",
            lambda: self._without(inbox.round1.keys() & inbox.shares.keys()),
        )
        everybody = range(len(terms.nodes))
        keys, public_shares = keygen.combine(
            [inbox.round1[node] for node in everybody], [inbox.shares[node] for node in everybody], own
        )
        self._keys = keys  # wiped, if nothing comes of it
        said = Round2(keys.public_keys, keys.public_shares[own])
        yield from self._broadcast("keys", ROUND2, said.encode(own))
        yield from self._until("keys of others", lambda: self._without(inbox.round2, own))
        for peer in terms.peers:
            try:
                keygen.check_round2(inbox.round2[peer], keys, peer)
            except BadMessageError as error:
                raise PeerError(peer, f"{error}; {NOBODY}", at_fault=False) from None
        inbox.round1.clear()
        inbox.round2.clear()
        return keys, public_shares

    def _exchange(self, name: str, slot: int, keys: GeneratedKeys, roots: Bytes) -> Story[dict[int, Bytes]]:
        """Signatures uint8[m, 96] of all nodes by their shares, not yet checked, over roots uint8[m, 32]."""
        own, came = self._terms.position, self._inbox.partials[slot]
        signatures = {own: sign(keys.secret_shares, roots)}
        message = encode_partials(slot, signatures[own], keys.public_keys, own)
        self._outputs += [Send(peer, PARTIALS, message) for peer in self._terms.peers]
        yield from self._until(f"signatures for {name}", lambda: self._without(came, own))
        validator_of = {key_text(key.tobytes()): v for v, key in enumerate(keys.public_keys)}
        for peer in self._terms.peers:
            with _blaming(peer):
                signatures[peer] = came[peer].signatures(validator_of, peer)
        return signatures

    def _sign_as_nodes(self, lock_hash: bytes) -> Story[tuple[bytes, ...]]:
        inbox, terms = self._inbox, self._terms
        said = NodeSignature(self._key.sign(lock_hash), terms.position)
        inbox.node_signatures[terms.position] = said
        yield from self._broadcast("node signature", NODE_SIGNATURE, said.encode())
        yield from self._until("node signatures", lambda: self._without(inbox.node_signatures))
        for peer in terms.peers:
            if recovered_signer(lock_hash, inbox.node_signatures[peer].signature) != terms.nodes[peer]:
                raise PeerError(peer, "its signature of the lock hash as a node is wrong")
        return tuple(inbox.node_signatures[node].signature for node in range(len(terms.nodes)))

    def _broadcast(self, name: str, id: str, value: bytes) -> Story[None]:
        """Have everybody sign something, and send it to everybody with the signatures."""
        inbox, terms = self._inbox, self._terms
        request = inbox.broadcasts.begin(id, Wrapped.of(TYPES[id], value))
        protocol = terms.dialect.signature_protocol
        self._outputs += [Ask(peer, protocol, request) for peer in terms.peers]
        yield from self._until(f"signatures of our {name}", lambda: inbox.broadcasts.unsigned_by(id))
        while id not in inbox.whole:  # the last answer came, and is being put together on another thread
            yield
        message = inbox.whole.pop(id)
        self._outputs += [Send(peer, terms.dialect.message_protocol, message) for peer in terms.peers]

    def _reach(self, step: int) -> Story[None]:
        """Report a step, and wait until everybody does."""
        self._inbox.steps.own = step
        yield from self._until(
            f"everybody at step {step}, {STEP_NAMES[step]}", lambda: self._inbox.steps.behind(step)
        )

    def _until(self, name: str, missing: Callable[[], tuple[int, ...]]) -> Story[None]:
        """Wait while somebody is missing, and say for whom."""
        while not self.may_end and (waiting := missing()):
            self._show(Phase(name, waiting))
            yield

    def _wait_for_lock_hash(self) -> Story[bytes]:
        self._show(Phase("making the lock"))
        while self.lock_hash is None:
            yield
        return self.lock_hash

    def _wait_here(self, name: str, is_done: Callable[[], bool]) -> Story[None]:
        """Wait for the driver, and say for what."""
        self._show(Phase(name))
        while not is_done():
            yield

    def _show(self, phase: Phase) -> None:
        if phase != self.phase:
            self.phase = phase
            self._outputs.append(phase)

    def _without(self, came: Container[int], *present: int) -> tuple[int, ...]:
        """The nodes that nothing came from, but for some."""
        return tuple(
            node for node in range(len(self._terms.nodes)) if node not in came and node not in present
        )


@contextmanager
def _blaming(peer: int | None = None) -> Iterator[None]:
    """What is found wrong is by a peer; or by whom the error names."""
    try:
        yield
    except signing.WrongSignatureError as error:
        raise PeerError(error.node, str(error)) from None
    except (BadMessageError, ProtobufError) as error:
        assert peer is not None
        raise PeerError(peer, str(error)) from None
