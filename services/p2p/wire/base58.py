"""Base58 of Bitcoin, in which peer ids are written."""

from __future__ import annotations

from ..errors import WireError

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MOST_LETTERS = 128  # the cost grows with the square; a peer id has 53
_VALUES = {letter: value for value, letter in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """Bytes as letters; each leading zero is a 1."""
    number = int.from_bytes(data, "big")
    letters = []
    while number:
        number, value = divmod(number, 58)
        letters.append(ALPHABET[value])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def decode(text: str) -> bytes:
    """The bytes of a text.

    Raises:
        WireError: it is too long, or has another letter.
    """
    if len(text) > MOST_LETTERS:
        raise WireError(f"base58: expected at most {MOST_LETTERS} letters")
    number = 0
    for letter in text:
        if (value := _VALUES.get(letter)) is None:
            raise WireError("base58: a letter that is none of its 58")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
