"""How large each message may be, known before anything of it is read; a transport cuts it as it likes.

The machine gives and takes whole payloads. A transport that cannot carry one in one piece sends its length,
then the pieces; it asks `largest_payload` before it makes room.
"""

from __future__ import annotations

from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.dvtfast_dkg.channels import TAG_BYTES
from dvtfast.dkg.dvtfast_dkg.hashing import path_bytes
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import FRAME_BYTES, Kind
from dvtfast.dkg.dvtfast_dkg.messages.statements import statement_sizes
from dvtfast.dkg.dvtfast_dkg.terms import MOST_VALIDATORS, Terms

# What one WANT asks for, for each operator; kind, sender and receiver of each.
MOST_WANTS = 8
WANT_BYTES = 3
# Lengths and heads of the fields of an evidence, and statements that it holds beside the large ones.
EVIDENCE_FIELDS_BYTES = 4096
# What all operators deal to one, or sign for it, which is held at once and may come at once; and how many
# operators are counted at least, so that no payload is too large for who carries it.
MOST_HELD_BYTES = 256 * 1024**2
LEAST_COUNTED = 8


def commitments_bytes(terms: Terms) -> int:
    """Of one dealer."""
    return PUBLIC_KEY_BYTES * terms.threshold * terms.validators


def ciphertext_bytes(terms: Terms) -> int:
    """From one dealer to one node."""
    return SECRET_KEY_BYTES * terms.validators + TAG_BYTES


def signatures_bytes(terms: Terms) -> int:
    """Of one node, with its encrypted key shares."""
    return terms.row_bytes * terms.validators


def evidence_limit(terms: Terms) -> int:
    """What no evidence is longer than."""
    statement = max(sizes[-1] for sizes in statement_sizes(terms).values()) + FRAME_BYTES + 4
    row = PUBLIC_KEY_BYTES * terms.threshold + path_bytes(terms.validators) + 8
    rows = (terms.count + 2) * (statement + row)
    blob = max(commitments_bytes(terms), ciphertext_bytes(terms), PUBLIC_KEY_BYTES * terms.validators)
    signed = terms.row_bytes + path_bytes(terms.validators)
    return 2 * EVIDENCE_FIELDS_BYTES + 4 * statement + rows + blob + signed


def payload_sizes(terms: Terms) -> dict[Kind, range]:
    """How long the payload of each kind may be, in bytes."""
    attachments = {
        Kind.DEAL: range(size := commitments_bytes(terms) + ciphertext_bytes(terms), size + 1),
        Kind.SIGS: range(size := signatures_bytes(terms), size + 1),
        Kind.BLAME: range(evidence_limit(terms) + 1),
    }
    none = range(1)
    sizes: dict[Kind, range] = {
        kind: range(
            FRAME_BYTES + statement[0] + attachments.get(kind, none)[0],
            FRAME_BYTES + statement[-1] + attachments.get(kind, none)[-1] + 1,
        )
        for kind, statement in statement_sizes(terms).items()
        if kind != Kind.COMPLAINT
    }
    sizes[Kind.WANT] = range(1, 2 + WANT_BYTES * MOST_WANTS * terms.count)
    return sizes


def most_validators(terms: Terms) -> int:
    """How many validators such operators can make keys for at once; see MOST_HELD_BYTES."""
    dealt = PUBLIC_KEY_BYTES * terms.threshold + SECRET_KEY_BYTES
    each = max(dealt, terms.row_bytes)
    return min(MOST_VALIDATORS, MOST_HELD_BYTES // (max(terms.count, LEAST_COUNTED) * each))


def largest_payload(terms: Terms) -> int:
    """Of all kinds, in bytes; a longer one is refused before it is read."""
    return max(sizes[-1] for sizes in payload_sizes(terms).values())
