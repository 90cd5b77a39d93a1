"""What an oracle signs, and who signed something: typed data (EIP-712), encoded by eth-account.

Sources: stakewise/v3-core `748bb38`, KeeperValidators.sol, VaultValidators.sol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from ...chain.encoding import read_address

APPROVAL: Final = {
    "validatorsRegistryRoot": "bytes32",
    "vault": "address",
    "validators": "bytes",
    "exitSignaturesIpfsHash": "string",
    "deadline": "uint256",
}
ROTATION: Final = {
    "vault": "address",
    "exitSignaturesIpfsHash": "string",
    "nonce": "uint256",
    "deadline": "uint256",
}
CONSOLIDATION: Final = {"vault": "address", "validators": "bytes"}
MANAGER: Final = {"validatorsRegistryRoot": "bytes32", "validators": "bytes"}


@dataclass(frozen=True)
class Domain:
    """Whom a signature is for.

    Attributes:
        name: of the domain, such as `KeeperOracles`.
        contract: that verifies it.
    """

    name: str
    contract: bytes
    chain_id: int

    def message(self, kind: str, fields: Mapping[str, str], *values: Any) -> SignableMessage:
        """A message of this domain, its values in the order of the fields."""
        return encode_typed_data(
            domain_data={
                "name": self.name,
                "version": "1",
                "chainId": self.chain_id,
                "verifyingContract": self.contract,
            },
            message_types={kind: [{"name": name, "type": of} for name, of in fields.items()]},
            message_data=dict(zip(fields, values, strict=True)),
        )


def signature_of(message: SignableMessage, secret: bytes) -> bytes:
    """r, s and v, 65 bytes."""
    return bytes(Account.sign_message(message, secret).signature)


def signer_of(message: SignableMessage, signature: bytes) -> bytes | None:
    """The account that signed; None for what is no signature."""
    try:
        return read_address(Account.recover_message(message, signature=signature))
    except Exception:  # eth-account raises whatever its parts do for what is no signature
        return None
