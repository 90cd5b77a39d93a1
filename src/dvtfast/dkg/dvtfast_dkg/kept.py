"""The keys in a node's records: what is left of an attempt that ended when somebody might have used them.

public keys 48 m | public key shares 48 n m, node by node | this node's key shares 32 m

They are there with a message of it. Of a charon ceremony, which records no messages, there is one record with
nothing else: a mark, where others have the seed, the definition hash, and the keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.dvtfast_dkg.channels import KEY_BYTES
from dvtfast.dkg.dvtfast_dkg.hashing import DIGEST_BYTES
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind, decode_envelope
from dvtfast.dkg.dvtfast_dkg.messages.statements import Hello
from dvtfast.dkg.dvtfast_dkg.records import Records
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.errors import InputError

ALONE = sha256(b"dvtfast: keys of a charon ceremony").digest()
OTHER_TERMS = "records: of other terms"


def encode_keys(keys: GeneratedKeys) -> bytes:
    """As they are recorded, before they are sealed."""
    return b"".join(each.tobytes() for each in (keys.public_keys, keys.public_shares, keys.secret_shares))


def record_of_keys(identity_secret: bytes, definition_hash: bytes, keys: GeneratedKeys) -> bytes:
    """The one record of a ceremony that has no others."""
    return Records(identity_secret).seal(ALONE + definition_hash + encode_keys(keys))


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
    is_alone = contents[0].startswith(ALONE)
    kept = _alone(contents[0], terms) if is_alone else _among_messages(contents, terms)
    n, m = terms.count, terms.validators
    if len(kept) != PUBLIC_KEY_BYTES * m * (1 + n) + SECRET_KEY_BYTES * m:
        raise InputError(OTHER_TERMS)
    rows = np.frombuffer(bytearray(kept), dtype=np.uint8)
    keys, shares, secrets = np.split(rows, [PUBLIC_KEY_BYTES * m, PUBLIC_KEY_BYTES * m * (1 + n)])
    return GeneratedKeys(
        keys.reshape(m, PUBLIC_KEY_BYTES),
        shares.reshape(n, m, PUBLIC_KEY_BYTES),
        secrets.reshape(m, SECRET_KEY_BYTES),
    )


def _alone(content: bytes, terms: Terms) -> bytes:
    definition_hash, kept = content[KEY_BYTES : KEY_BYTES + DIGEST_BYTES], content[KEY_BYTES + DIGEST_BYTES :]
    if definition_hash != terms.definition_hash or terms.ids:
        raise InputError(OTHER_TERMS)
    return kept


def _among_messages(contents: Sequence[bytes], terms: Terms) -> bytes:
    hello, *later = map(decode_envelope, [contents[0][KEY_BYTES:], *contents[1:]])
    facts = Hello.decode(hello.statement, terms)
    slot = replace(terms, attempt=facts.attempt).hello_slot
    if (hello.slot, facts.options_hash) != (slot, terms.options_hash):
        raise InputError(OTHER_TERMS)
    kept = next((each.attachment for each in later if each.kind == Kind.ECHO), None)
    if kept is None:
        raise InputError("records: the attempt ended before there were keys")
    return kept
