"""The keys in a node's records: what is left of an attempt that ended when somebody might have used them.

public keys 48 m | public key shares 48 n m, node by node | this node's key shares 32 m
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.native.channels import KEY_BYTES
from dvtfast.dkg.native.envelopes import Kind, decode_envelope
from dvtfast.dkg.native.records import Records
from dvtfast.dkg.native.statements import Hello
from dvtfast.dkg.native.terms import Terms
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.errors import InputError


def encode_keys(keys: GeneratedKeys) -> bytes:
    """As they are recorded, before they are sealed."""
    return b"".join(each.tobytes() for each in (keys.public_keys, keys.public_shares, keys.secret_shares))


def kept_keys(identity_secret: bytes, written: Sequence[bytes], terms: Terms) -> GeneratedKeys:
    """The keys in the records of a node; the caller wipes them.

    Args:
        terms: of any attempt.

    Raises:
        EncodingError: the records are damaged, of another format, or by another identity.
        InputError: they are of other terms, or of an attempt that ended before there were keys.
    """
    contents = Records(identity_secret, written).opened()
    if not contents:
        raise InputError("records: there are none")
    hello, *later = map(decode_envelope, [contents[0][KEY_BYTES:], *contents[1:]])
    facts = Hello.decode(hello.statement, terms)
    slot = replace(terms, attempt=facts.attempt).hello_slot
    if (hello.slot, facts.options_hash) != (slot, terms.options_hash):
        raise InputError("records: of other terms")
    kept = [each.attachment for each in later if each.kind == Kind.ECHO]
    if not kept:
        raise InputError("records: the attempt ended before there were keys")
    n, m = terms.count, terms.validators
    rows = np.frombuffer(bytearray(kept[0]), dtype=np.uint8)
    keys, shares, secrets = np.split(rows, [PUBLIC_KEY_BYTES * m, PUBLIC_KEY_BYTES * m * (1 + n)])
    return GeneratedKeys(
        keys.reshape(m, PUBLIC_KEY_BYTES),
        shares.reshape(n, m, PUBLIC_KEY_BYTES),
        secrets.reshape(m, SECRET_KEY_BYTES),
    )
