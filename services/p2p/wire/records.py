"""Signed envelopes: what a peer says so that others can pass it on. Peer records and vouchers of relays.

Source: libp2p/specs RFC 2 (signed envelopes), RFC 3 (peer records), relay/circuit-v2 (vouchers).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import WireError
from . import peers, protobuf, varint

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

    def sign(self, identity: peers.IdentityKey) -> bytes:
        """As an envelope of the relay."""
        payload = protobuf.encode(
            [(1, peers.peer_id(self.relay)), (2, peers.peer_id(self.peer)), (3, self.expires)]
        )
        return _seal(identity, _VOUCHER_DOMAIN, _VOUCHER_TYPE, payload)

    @classmethod
    def open(cls, envelope: bytes) -> Voucher:
        """The content of an envelope that the relay itself has signed.

        Raises:
            WireError: it is none.
        """
        signer, payload = _open(envelope, _VOUCHER_DOMAIN, _VOUCHER_TYPE)
        fields = protobuf.Fields(payload)
        voucher = cls(peers.key_of_id(fields.bytes_(1)), peers.key_of_id(fields.bytes_(2)), fields.integer(3))
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

    def sign(self, identity: peers.IdentityKey) -> bytes:
        """As an envelope of the peer."""
        payload = protobuf.encode(
            [
                (1, peers.peer_id(self.peer)),
                (2, self.sequence),
                *((3, protobuf.encode([(1, address)])) for address in self.addresses),
            ]
        )
        return _seal(identity, _PEER_RECORD_DOMAIN, _PEER_RECORD_TYPE, payload)

    @classmethod
    def open(cls, envelope: bytes) -> PeerRecord:
        """The content of an envelope that the peer itself has signed.

        Raises:
            WireError: it is none.
        """
        signer, payload = _open(envelope, _PEER_RECORD_DOMAIN, _PEER_RECORD_TYPE)
        fields = protobuf.Fields(payload)
        addresses = tuple(protobuf.Fields(info).bytes_(1) for info in fields.repeated(3))
        record = cls(peers.key_of_id(fields.bytes_(1)), fields.integer(2), addresses)
        if record.peer != signer:
            raise WireError("peer record: signed by another than the peer")
        return record


def _seal(identity: peers.IdentityKey, domain: bytes, kind: bytes, payload: bytes) -> bytes:
    return protobuf.encode(
        [
            (1, peers.encode_key(identity.public_key)),
            (2, kind),
            (3, payload),
            (5, identity.sign(_signed((domain, kind, payload)))),
        ]
    )


def _open(envelope: bytes, domain: bytes, kind: bytes) -> tuple[bytes, bytes]:
    """The key of the signer, and the payload."""
    fields = protobuf.Fields(envelope)
    signer, payload = peers.decode_key(fields.bytes_(1)), fields.bytes_(3)
    if fields.bytes_(2) != kind:
        raise WireError("envelope: of another type")
    if not peers.is_signed_by(signer, _signed((domain, kind, payload)), fields.bytes_(5)):
        raise WireError("envelope: the signature does not verify")
    return signer, payload


def _signed(parts: Iterable[bytes]) -> bytes:
    """What is signed: each part behind its length."""
    return b"".join(varint.encode(len(part)) + part for part in parts)
