"""Which deposits are signed: those to vaults, with amounts and credentials, that the owner allowed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from dvtfast.constants import GWEI_PER_VALIDATOR

from .. import wire

# A validator with 0x01 credentials never has more; one with 0x02 earns on up to 2,048 ETH (EIP-7251).
MOST_GWEI: Final = {
    wire.ValidatorType.EXECUTION: GWEI_PER_VALIDATOR,
    wire.ValidatorType.COMPOUNDING: 64 * GWEI_PER_VALIDATOR,
}


@dataclass(frozen=True)
class DepositPolicy:
    """What a node's owner allows.

    Attributes:
        vaults: addresses, 20 bytes each; with none, no deposit is signed.
        types: of withdrawal credentials.
        most_a_day: different deposits in one day (UTC).
    """

    vaults: Collection[bytes] = ()
    types: Collection[wire.ValidatorType] = frozenset(wire.ValidatorType)
    most_a_day: int = 1_000

    def refusal(self, wanted: wire.ValidatorWanted) -> str:
        """Why this deposit is not signed; "" where it may be, as far as no record is needed to tell."""
        kind, most = wanted.validator_type, MOST_GWEI[wanted.validator_type]
        if wanted.vault not in self.vaults:
            return f"the vault {wanted.vault.to_wire()} is none of --allow-vault"
        if kind not in self.types:
            return f"credentials of type {kind.value} are none of --allow-type"
        if not GWEI_PER_VALIDATOR <= wanted.amount <= most:
            amounts = f"{GWEI_PER_VALIDATOR}..{most}" if most > GWEI_PER_VALIDATOR else f"{most}"
            return f"with credentials of type {kind.value} the amount must be {amounts} gwei"
        return ""


def withdrawal_credentials(wanted: wire.ValidatorWanted) -> bytes:
    """Whom the stake goes back to: the vault, by an address in 32 bytes."""
    return bytes([wanted.validator_type.byte]) + bytes(11) + wanted.vault
