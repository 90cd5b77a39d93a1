"""Reliable broadcast: the same message for everybody, as everybody has signed it.

The origin asks each peer for a signature of what it is about to broadcast, and then sends it with all of
them. A peer signs one message for each origin and id, so that no two honest nodes are told different things.
What is signed names no origin: a message must say in itself whose it is. It names no run of a ceremony
either, only the definition, and before v1.11 not even that. So who has had two messages signed in runs that
came to nothing can tell some nodes the one and others the other, with all signatures. Nodes see that their
keys differ, and end; but who of the others it was they cannot know, and accuse nobody.

Source: charon, dkg/bcast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from dvtfast.dkg.frost.dialects import Dialect
from dvtfast.dkg.frost.messages import (
    BadMessageError,
    BroadcastMessage,
    SignatureAnswer,
    SignatureRequest,
    Wrapped,
)
from dvtfast.secp256k1 import IdentityKey, recovered_signer

# Of what is before each field that is signed.
LENGTH_BYTES = 8


class Broadcasts:
    """All broadcasts of a ceremony as one node sees them.

    Args:
        session: the definition hash.
        nodes: the keys of all nodes, in their order.
    """

    def __init__(
        self, dialect: Dialect, session: bytes, key: IdentityKey, nodes: Sequence[bytes], position: int
    ) -> None:
        self._dialect, self._session, self._key = dialect, session, key
        self._nodes, self._position = tuple(nodes), position
        self._own: dict[str, tuple[Wrapped, bytes, dict[int, bytes]]] = {}
        self._signed: dict[tuple[int, str], bytes] = {}
        self._arrived: set[tuple[int, str]] = set()

    def begin(self, id: str, content: Wrapped) -> bytes:
        """The request for a signature of what this node broadcasts under an id, which it does once."""
        assert id not in self._own
        digest = self.digest(id, content)
        self._own[id] = content, digest, {self._position: self._key.sign(digest)}
        return SignatureRequest(id, content).encode()

    def unsigned_by(self, id: str) -> tuple[int, ...]:
        """Who has not yet signed what this node broadcasts under an id."""
        signatures = self._own[id][2]
        return tuple(peer for peer in range(len(self._nodes)) if peer not in signatures)

    def answered(self, peer: int, answer: bytes) -> BroadcastMessage | None:
        """The message for all peers, when this answer to a request was the last; None before, or for more.

        Raises:
            ProtobufError, BadMessageError: it is no signature by the peer.
        """
        decoded = SignatureAnswer.decode(answer)
        if decoded.id not in self._own:
            raise BadMessageError("an answer to what was not asked")
        content, digest, signatures = self._own[decoded.id]
        if peer in signatures:
            return None
        if recovered_signer(digest, decoded.signature) != self._nodes[peer]:
            raise BadMessageError("not the peer's signature of what is broadcast")
        signatures[peer] = decoded.signature
        if len(signatures) < len(self._nodes):
            return None
        in_order = tuple(signatures[node] for node in range(len(self._nodes)))
        return BroadcastMessage(decoded.id, content, in_order)

    def sign(self, peer: int, request: bytes, check: Callable[[str, Wrapped], object]) -> bytes:
        """The answer to a peer's request, if `check` lets its content pass.

        Raises:
            ProtobufError, BadMessageError: it is no request, or the second of its id with another content; or
                what `check` raises.
        """
        decoded = SignatureRequest.decode(request)
        digest = self.digest(decoded.id, decoded.content)
        slot = (peer, decoded.id)
        if slot not in self._signed:
            check(decoded.id, decoded.content)
            self._signed[slot] = digest
        elif self._signed[slot] != digest:
            raise BadMessageError(f"two different broadcasts of {decoded.id}: it cheats, or was started anew")
        return SignatureAnswer(decoded.id, self._key.sign(digest)).encode()

    def accept(self, peer: int, message: bytes) -> str | None:
        """The id of a peer's broadcast, whose content is what was signed; None if it is there already.

        Raises:
            ProtobufError, BadMessageError: it is none, or not all have signed it.
        """
        decoded = BroadcastMessage.decode(message)
        slot = (peer, decoded.id)
        digest = self.digest(decoded.id, decoded.content)
        if self._signed.get(slot) != digest:
            raise BadMessageError(f"a broadcast of {decoded.id} that we did not sign for this peer")
        if slot in self._arrived:
            return None
        if len(decoded.signatures) != len(self._nodes):
            raise BadMessageError(
                f"signatures: expected {len(self._nodes)}, got {len(decoded.signatures)} for {decoded.id}"
            )
        for position, (node, signature) in enumerate(zip(self._nodes, decoded.signatures, strict=True)):
            if recovered_signer(digest, signature) != node:
                raise BadMessageError(f"signatures: not by node {position} for {decoded.id}")
        self._arrived.add(slot)
        return decoded.id

    def digest(self, id: str, content: Wrapped) -> bytes:
        """What is signed, of the bytes as they were sent."""
        type_url = content.type_url.encode()
        if not self._dialect.bound:
            return sha256(type_url + content.value).digest()
        fields = (self._session, id.encode(), type_url, content.value)
        return sha256(b"".join(len(each).to_bytes(LENGTH_BYTES, "big") + each for each in fields)).digest()
