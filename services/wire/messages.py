"""The bodies of requests and answers, and the registration bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from .errors import WireError
from .values import (
    Address,
    EncryptedSignature,
    ManagerSignature,
    PositiveUInt64,
    PublicKey,
    Root,
    ShareIndex,
    Signature,
    UInt64,
    ValidatorType,
    WithdrawalCredentials,
)

ITEMS_LIMIT = 50_000  # validators or shares in one request
KEY_SHARES_LIMIT = 64  # public key shares with one validator
AtMostItems = msgspec.Meta(max_length=ITEMS_LIMIT)
SomeItems = msgspec.Meta(min_length=1, max_length=ITEMS_LIMIT)


class InfoAnswer(msgspec.Struct, omit_defaults=True):
    """Answer to `GET /info`; the address is there when the relayer signs as validators manager."""

    network: str
    validators_manager_address: Address | None = None


class ValidatorsRequest(msgspec.Struct, omit_defaults=True):
    """Body of `POST /validators`; the key at position i gets `validators_start_index` + i."""

    public_keys: Annotated[list[PublicKey], AtMostItems]
    validators_start_index: UInt64 | None = None

    def __post_init__(self) -> None:
        _require_different("public_keys", self.public_keys)


class OraclesExitSignatureShares(msgspec.Struct):
    """One exit, split: a list per field, in the order of the oracles in their config."""

    public_keys: list[PublicKey]
    encrypted_exit_signatures: list[EncryptedSignature]


class ValidatorShares(msgspec.Struct):
    """One validator in the answer to `POST /validators`; null means not ready yet."""

    public_key: PublicKey
    oracles_exit_signature_shares: OraclesExitSignatureShares | None


class RotateAnswer(msgspec.Struct, omit_defaults=True):
    """Answer to `POST /rotate`; `ready` when every validator has its shares."""

    ready: bool
    validators: list[ValidatorShares]


class ValidatorsAnswer(RotateAnswer):
    """Answer to `POST /validators`.

    The start index is that of the request, from a relayer that went by it: the shares are of exits for it.
    """

    validators_start_index: UInt64 | None = None


class ExitWanted(msgspec.Struct):
    """One validator in the answer to `GET /exits`; an `OpenExit` can be read as one."""

    public_key: PublicKey
    validator_index: UInt64
    is_exit_signature_ready: bool = False
    created_at_timestamp: int = 0
    created_at_string: str = ""
    share_indexes_ready: list[ShareIndex] = []
    share_indexes_rejected: list[ShareIndex] = []
    is_ahead: bool | msgspec.UnsetType = msgspec.UNSET  # only in what is read


class OpenExit(msgspec.Struct, omit_defaults=True):
    """One validator in the answer to `GET /exits?share_index=`: that share is wanted, now or maybe later."""

    public_key: PublicKey
    validator_index: UInt64
    is_ahead: bool = False


class ExitsAnswer(msgspec.Struct):
    """Answer to `GET /exits`."""

    exits: list[ExitWanted]


class ExitShare(msgspec.Struct, omit_defaults=True):
    """One partial exit signature; `validator_index` says which exit it signs.

    `public_key_shares` are of all nodes, as in `SignatureShares`.
    """

    public_key: PublicKey
    exit_signature: Signature
    validator_index: UInt64 | None = None
    public_key_shares: KeyShares | None = None


class ExitSignatureRequest(msgspec.Struct):
    """Body of `POST /exit-signature`: partial signatures of one share index."""

    share_index: ShareIndex
    shares: Annotated[list[ExitShare], AtMostItems]


class RegisterRequest(msgspec.Struct):
    """Body of `POST /register`: as many validators as there are amounts in gwei, for one vault."""

    vault: Address
    validators_start_index: UInt64
    amounts: Annotated[list[UInt64], AtMostItems]
    validator_type: ValidatorType


class RegisterValidator(msgspec.Struct):
    """One validator in the answer to `POST /register`."""

    public_key: PublicKey
    amount: UInt64
    deposit_signature: Signature | None
    exit_signature: Signature | None
    oracles_exit_signature_shares: OraclesExitSignatureShares | None


class RegisterAnswer(msgspec.Struct):
    """Answer to `POST /register`; no validators, or no signature, means not ready yet."""

    validators: list[RegisterValidator]
    validators_manager_signature: ManagerSignature | None


class ValidatorWanted(msgspec.Struct):
    """One validator in the answer to `GET /validators`: its exit and its deposit are to be signed."""

    vault: Address
    public_key: PublicKey
    amount: UInt64
    validator_index: UInt64
    validator_type: ValidatorType
    is_signatures_ready: bool = False
    created_at_timestamp: int = 0
    created_at_string: str = ""
    share_indexes_ready: list[ShareIndex] = []
    share_indexes_rejected: list[ShareIndex] = []


class OpenValidator(msgspec.Struct):
    """One validator in the answer to `GET /validators?share_index=`: those shares are wanted."""

    vault: Address
    public_key: PublicKey
    amount: UInt64
    validator_index: UInt64
    validator_type: ValidatorType


class ValidatorsWantedAnswer(msgspec.Struct):
    """Answer to `GET /validators`."""

    validators: list[ValidatorWanted]


class PublicKeyShare(msgspec.Struct):
    """What a node says the public key share of some node is."""

    share_index: ShareIndex
    public_key_share: PublicKey


KeyShares = Annotated[list[PublicKeyShare], msgspec.Meta(max_length=KEY_SHARES_LIMIT)]


class SignatureShares(msgspec.Struct, omit_defaults=True):
    """One validator's partial signatures: of its exit and of its deposit."""

    public_key: PublicKey
    exit_signature: Signature
    deposit_signature: Signature
    validator_index: UInt64 | None = None
    public_key_shares: KeyShares | None = None


class SignaturesRequest(msgspec.Struct):
    """Body of `POST /signatures`: partial signatures of one share index."""

    share_index: ShareIndex
    shares: Annotated[list[SignatureShares], AtMostItems]


class RotateItem(msgspec.Struct):
    """One validator that is registered already."""

    public_key: PublicKey
    validator_index: UInt64


class RotateRequest(msgspec.Struct):
    """Body of `POST /rotate`: exits to be split for the oracles of today."""

    vault: Address
    validators: Annotated[list[RotateItem], SomeItems]

    def __post_init__(self) -> None:
        _require_different("validators", [item.public_key for item in self.validators])


class Rejected(msgspec.Struct):
    """An item that was refused; `public_key` as it was sent."""

    public_key: str
    reason: str


class ExitSignatureAnswer(msgspec.Struct):
    """Answer to `POST /exit-signature`; what is not in `rejected` is stored."""

    rejected: list[Rejected] = []


class ErrorAnswer(msgspec.Struct, omit_defaults=True):
    """Body of every answer that is not 2xx."""

    error: str
    field: str = ""
    rejected: list[Rejected] = []


class HealthAnswer(msgspec.Struct):
    """Answer to `GET /healthz` and `GET /readyz`; `problems` say what is missing."""

    ok: bool = True
    problems: list[str] = []


class RegisteredValidator(msgspec.Struct):
    """One validator of a registration bundle: its deposit, and its exit shared out to the oracles."""

    public_key: PublicKey
    validator_index: UInt64 | None
    amount_gwei: UInt64
    withdrawal_credentials: WithdrawalCredentials
    deposit_signature: Signature
    deposit_data_root: Root
    oracles_exit_signature_shares: OraclesExitSignatureShares


class BundleChecks(msgspec.Struct):
    """What of a registration bundle was checked, and by whose word."""

    vault: Address
    oracle_shares: bool
    validator_indices: str | None
    exit_signatures: bool = False


class RegistrationBundle(msgspec.Struct):
    """What `dvtfast operator collect` writes, validators in the order of the deposit data."""

    version: int
    network: str
    exit_signature_recover_threshold: int | None
    validators: list[RegisteredValidator]
    checked: BundleChecks | None = None


class FundRequest(msgspec.Struct):
    """Body of `POST /fund`: validators to top up, each with its amount in gwei."""

    vault: Address
    public_keys: Annotated[list[PublicKey], SomeItems]
    amounts: Annotated[list[PositiveUInt64], SomeItems]

    def __post_init__(self) -> None:
        _require_same_length(public_keys=self.public_keys, amounts=self.amounts)
        _require_different("public_keys", self.public_keys)


class WithdrawRequest(msgspec.Struct):
    """Body of `POST /withdraw`: validators with amounts in gwei; an amount of 0 is a full exit."""

    vault: Address
    public_keys: Annotated[list[PublicKey], SomeItems]
    amounts: Annotated[list[UInt64], SomeItems]

    def __post_init__(self) -> None:
        _require_same_length(public_keys=self.public_keys, amounts=self.amounts)
        _require_different("public_keys", self.public_keys)


class ConsolidateRequest(msgspec.Struct):
    """Body of `POST /consolidate`: each source's stake goes to the target at the same position.

    Several sources may have one target; a source that is its own target only changes its type.
    """

    vault: Address
    source_public_keys: Annotated[list[PublicKey], SomeItems]
    target_public_keys: Annotated[list[PublicKey], SomeItems]

    def __post_init__(self) -> None:
        _require_same_length(
            source_public_keys=self.source_public_keys, target_public_keys=self.target_public_keys
        )
        _require_different("source_public_keys", self.source_public_keys)


class ManagerSignatureAnswer(msgspec.Struct):
    """Answer to `POST /fund`, `/withdraw` and `/consolidate`; null means not possible now."""

    validators_manager_signature: ManagerSignature | None


def _require_same_length(**lists: Sequence[object]) -> None:
    (first, expected), (second, got) = ((name, len(values)) for name, values in lists.items())
    if expected != got:
        raise WireError(second, f"expected {expected} items as in {first}, got {got}")


def _require_different(name: str, keys: Sequence[PublicKey]) -> None:
    seen: dict[PublicKey, int] = {}
    for position, key in enumerate(keys):
        if (first := seen.setdefault(key, position)) != position:
            raise WireError(f"{name}[{position}]", f"the same as {name}[{first}]")
