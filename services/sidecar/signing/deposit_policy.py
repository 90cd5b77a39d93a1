"""Which deposits are signed: those to vaults, with amounts and credentials, that the owner allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from dvtfast.constants import GWEI_PER_VALIDATOR

from ... import wire

# A validator with 0x01 credentials never has more; one with 0x02 earns on up to 2,048 ETH (EIP-7251).
MOST_GWEI: Final = {
    wire.ValidatorType.EXECUTION: GWEI_PER_VALIDATOR,
    wire.ValidatorType.COMPOUNDING: 64 * GWEI_PER_VALIDATOR,
}


@dataclass(frozen=True)
class DepositPolicy:
    """What a node's owner allows.

    Attributes:
        vaults: addresses, 20 bytes each, that any relayer may ask for.
        vaults_of: those that only the relayer of this name may ask for. With no vaults, no deposit is signed.
        types: of withdrawal credentials.
        most_a_day: different deposits for one relayer in one day (UTC).
        most_of_one: of these, of one validator.
    """

    vaults: Collection[bytes] = ()
    types: Collection[wire.ValidatorType] = frozenset(wire.ValidatorType)
    most_a_day: int = 1_000
    most_of_one: int = 100
    vaults_of: Mapping[str, Collection[bytes]] = field(default_factory=dict)

    def refusal(self, relayer: str, wanted: wire.ValidatorWanted) -> str:
        """Why this deposit is not signed; "" where it may be, as far as no record is needed to tell."""
        kind, most = wanted.validator_type, MOST_GWEI[wanted.validator_type]
        if wanted.vault not in self.vaults and wanted.vault not in self.vaults_of.get(relayer, ()):
            if any(wanted.vault in vaults for vaults in self.vaults_of.values()):
                return f"the vault {wanted.vault.to_wire()} is another relayer's by --allow-vault"
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
