"""What an Authorization header has."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error


def token_in(authorization: str) -> str:
    """What an Authorization header has: Bearer, or the password of Basic; "" for anything else."""
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(rest, validate=True).decode().partition(":")[2]
    except (Base64Error, UnicodeDecodeError, ValueError):
        return ""
