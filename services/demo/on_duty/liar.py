"""A node that lies: as a program, `dvtfast node` with wrong signatures.

Run it by `python -m dvtfast.services.demo.on_duty.liar node ...`.

Each partial signature that it sends is the negative of the right one: a point as good as any, of the right
validator, that verifies for nothing. So the others find out only by what comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dvtfast.duties.signed_sets import signature_of, with_signature
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ...cli import main
from ...node.exchange import Exchange
from ...node.partial_signatures import Positions
from ...node.parts import Signed
from ...node.signing.signer import DutySigner

SIGN_BIT = 0x20  # of a compressed point: which of its two y it has


_sign, _checked = DutySigner.sign, Exchange._checked


async def _lie(
    signer: DutySigner, duty: Duty, validators: Positions, values: Sequence[SignedValue]
) -> Signed:
    """Sign, and turn each signature around."""
    signed = await _sign(signer, duty, validators, values)
    return replace(
        signed, values=[with_signature(each, negative(signature_of(each))) for each in signed.values]
    )


def _believe(exchange: Exchange, *arguments: Any) -> Any:
    """A node looks at its own signatures before they leave; this one is not to notice."""
    signed, ok = _checked(exchange, *arguments)
    return signed, np.ones_like(ok)


def negative(signature: bytes) -> bytes:
    """The other point with the same x: as good a point, and a wrong signature."""
    return bytes([signature[0] ^ SIGN_BIT]) + signature[1:]


if __name__ == "__main__":
    # The types are told not to look: `dvtfast node` has no place to plug a lie in, and should have none.
    DutySigner.sign = _lie  # type: ignore[assignment, method-assign]
    Exchange._checked = _believe  # type: ignore[assignment, method-assign]
    main()
