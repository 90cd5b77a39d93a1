"""What a password may mean: tools do not agree on how to normalise it.

Source: ERC-2335; the behaviour of keystorev4 (charon, ssv) and of StakeWise's tools.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Control characters.
C0: Final = frozenset([*range(0x20), 0x7F])
C1: Final = frozenset(range(0x80, 0xA0))


def password_forms(password: str) -> list[bytes]:
    """What a password may mean, most likely first and each once.

    The first is the standard's: NFKD without control characters. Others leave in the controls of C1
    (charon) or all of them, normalise by NFKC, or strip white space (StakeWise). A plain password has
    one form only.
    """
    if password.isascii() and password.isprintable() and password == password.strip():
        return [password.encode()]
    forms = [
        _without(controls, unicodedata.normalize(form, text)).encode(errors="surrogatepass")
        for text in (password, password.strip())
        for form in ("NFKD", "NFKC")
        for controls in (C0 | C1, C0, frozenset[int]())
    ]
    return list(dict.fromkeys(forms))


def _without(controls: frozenset[int], text: str) -> str:
    return "".join(letter for letter in text if ord(letter) not in controls)
