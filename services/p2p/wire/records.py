"""Signed envelopes: what a peer says so that others can pass it on. Peer records and vouchers of relays.

Source: libp2p/specs RFC 2 (signed envelopes), RFC 3 (peer records), relay/circuit-v2 (vouchers).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dvtfast.protobuf import BYTES, VARINT, bytes_field, message_field, number_field, varint
from dvtfast.secp256k1 import IdentityKey, is_message_signed_by

from ..errors import WireError
from . import peers, received

_PEER_RECORD_DOMAIN = b"libp2p-peer-record"
_PEER_RECORD_TYPE = bytes([0x03, 0x01])
_VOUCHER_DOMAIN = b"libp2p-relay-rsvp"
_VOUCHER_TYPE = bytes([0x03, 0x02])


@dataclass(frozen=True)
class Voucher:
    """A relay's word that a peer has a reservation.

    Attributes:
        relay: the relay's key.
        peer: whose reservation it is.
        expires: Unix time, seconds.
    """

    relay: bytes
    peer: bytes
    expires: int

    def sign(self, identity: IdentityKey) -> bytes:
        """As an envelope of the relay."""
        names = bytes_field(1, peers.peer_id(self.relay)) + bytes_field(2, peers.peer_id(self.peer))
        payload = names + number_field(3, self.expires)
        return _seal(identity, _VOUCHER_DOMAIN, _VOUCHER_TYPE, payload)

    @classmethod
    def open(cls, envelope: bytes) -> Voucher:
        """The content of an envelope that the relay itself has signed.

        Raises:
            WireError: it is none.
        """
        signer, payload = _open(envelope, _VOUCHER_DOMAIN, _VOUCHER_TYPE)
        fields = received.fields(payload, {1: BYTES, 2: BYTES, 3: VARINT})
        voucher = cls(peers.key_of_id(fields.last(1)), peers.key_of_id(fields.last(2)), fields.uint64(3))
        if voucher.relay != signer:
            raise WireError("voucher: signed by another than the relay")
        return voucher


@dataclass(frozen=True)
class PeerRecord:
    """Where a peer says that it listens.

    Attributes:
        peer: its key.
        sequence: greater than that of its older records.
        addresses: multiaddrs in bytes, unchecked.
    """

    peer: bytes
    sequence: int
    addresses: tuple[bytes, ...]

    def sign(self, identity: IdentityKey) -> bytes:
        """As an envelope of the peer."""
        payload = bytes_field(1, peers.peer_id(self.peer)) + number_field(2, self.sequence)
        payload += b"".join(message_field(3, message_field(1, address)) for address in self.addresses)
        return _seal(identity, _PEER_RECORD_DOMAIN, _PEER_RECORD_TYPE, payload)

    @classmethod
    def open(cls, envelope: bytes) -> PeerRecord:
        """The content of an envelope that the peer itself has signed.

        Raises:
            WireError: it is none.
        """
        signer, payload = _open(envelope, _PEER_RECORD_DOMAIN, _PEER_RECORD_TYPE)
        fields = received.fields(payload, {1: BYTES, 2: VARINT, 3: BYTES})
        addresses = tuple(received.fields(info, {1: BYTES}).last(1) for info in fields.every(3))
        record = cls(peers.key_of_id(fields.last(1)), fields.uint64(2), addresses)
        if record.peer != signer:
            raise WireError("peer record: signed by another than the peer")
        return record


def _seal(identity: IdentityKey, domain: bytes, kind: bytes, payload: bytes) -> bytes:
    signed = identity.sign_message(_signed((domain, kind, payload)))
    content = message_field(1, peers.encode_key(identity.public_key)) + bytes_field(2, kind)
    return content + bytes_field(3, payload) + bytes_field(5, signed)


def _open(envelope: bytes, domain: bytes, kind: bytes) -> tuple[bytes, bytes]:
    """The key of the signer, and the payload."""
    fields = received.fields(envelope, {1: BYTES, 2: BYTES, 3: BYTES, 5: BYTES})
    signer, payload = peers.decode_key(fields.last(1)), fields.last(3)
    if fields.last(2) != kind:
        raise WireError("envelope: of another type")
    if not is_message_signed_by(signer, _signed((domain, kind, payload)), fields.last(5)):
        raise WireError("envelope: the signature does not verify")
    return signer, payload


def _signed(parts: Iterable[bytes]) -> bytes:
    """What is signed: each part behind its length."""
    return b"".join(varint(len(part)) + part for part in parts)
