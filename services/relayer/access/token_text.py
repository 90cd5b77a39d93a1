"""The text of a token: `dvtfast_ID_SECRET`; the id is public, the secret has 256 bits.

A digest is enough to keep: nobody can try 2^256 secrets, so neither salt nor a slow function is needed. The
alphabet is that of base64url, which may stand in an address as it is.
"""

from __future__ import annotations

import hashlib
import re
import secrets

ID_BYTES = 4
SECRET_BYTES = 32
TOKEN = re.compile(r"dvtfast_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


def new_token() -> tuple[str, str]:
    """The id, and the whole token."""
    token_id = secrets.token_hex(ID_BYTES)
    return token_id, f"dvtfast_{token_id}_{secrets.token_urlsafe(SECRET_BYTES)}"


def id_of(token: str) -> str | None:
    """The id in a token; None for a text that is none."""
    match = TOKEN.fullmatch(token)
    return match[1] if match else None


def digest_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
