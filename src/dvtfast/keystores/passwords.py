"""What a password may mean: tools do not agree on how to normalise it.

Source: ERC-2335; the behaviour of keystorev4 (charon, ssv) and of StakeWise's tools.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dvtfast.errors import KeystoreError
from dvtfast.files import decode_text

# Control characters.
C0: Final = frozenset([*range(0x20), 0x7F])
C1: Final = frozenset(range(0x80, 0xA0))
COMBINING: Final = "Mn"  # the category of a mark that stands on the letter before it
LINE_ENDS: Final = "\r\n"


def password_forms(password: str | bytes, path: Path | None = None) -> list[bytes]:
    """What a password may mean, most likely first and each once.

    The first is the standard's: NFKD without control characters. Others leave in the controls of C1
    (charon) or all of them, normalise by NFKC, drop combining marks (keystorev4), strip white space at the
    end (line ends: most; all: StakeWise), or leave the password as it is. A plain password has one form only.

    Args:
        password: a text, or the content of a file that holds it, which as it stands is its last form.
        path: of that file.

    Raises:
        KeystoreError: the file is no text.
    """
    text = password if isinstance(password, str) else decode_text(password, path, error=KeystoreError)
    if text.isascii() and text.isprintable() and text == text.strip():
        forms = [text.encode()]
    else:
        forms = [
            _without(controls, normal).encode(errors="surrogatepass")
            for stripped in (text, text.rstrip(LINE_ENDS), text.rstrip(), text.strip())
            for normal in _normalised(stripped)
            for controls in (C0 | C1, C0, frozenset[int]())
        ]
    if isinstance(password, bytes):
        forms.append(password)
    return list(dict.fromkeys(forms))


def _normalised(text: str) -> Iterator[str]:
    yield unicodedata.normalize("NFKD", text)
    yield unicodedata.normalize("NFKC", text)
    for bare in map(
        _without_marks, (unicodedata.normalize("NFKD", text), unicodedata.normalize("NFD", text))
    ):
        yield bare
        yield unicodedata.normalize("NFC", bare)
    yield text


def _without(controls: frozenset[int], text: str) -> str:
    return "".join(letter for letter in text if ord(letter) not in controls)


def _without_marks(text: str) -> str:
    return "".join(letter for letter in text if unicodedata.category(letter) != COMBINING)
