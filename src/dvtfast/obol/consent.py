"""What creator and operators have signed in the definition: EIP-712 messages, each by an Ethereum account.

Source: charon, cluster definition v1.4 and later; EIP-712.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from dvtfast._addresses import checksum_address
from dvtfast._files import to_hex
from dvtfast._keccak import keccak256
from dvtfast.errors import InputError
from dvtfast.networks import Network
from dvtfast.obol import hashing
from dvtfast.obol.lock import ADDRESS_BYTES, NODE_SIGNATURE_BYTES, ClusterDefinition, Creator
from dvtfast.secp256k1 import IdentityKey, recovered_signer

DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId)"
DOMAIN_NAME = b"Obol"
DOMAIN_VERSION = b"1"
CREATOR_TYPE = b"CreatorConfigHash(string creator_config_hash)"
OPERATOR_TYPE = b"OperatorConfigHash(string operator_config_hash)"
RECORD_TYPE = b"ENR(string enr)"
WORD_BYTES = 32


@dataclasses.dataclass(frozen=True)
class Unproven:
    """A signature that is not by the key of its address, whose account may be a contract (ERC-1271)."""

    name: str
    address: str
    signature: bytes
    digest: bytes


def is_unsigned(definition: ClusterDefinition) -> bool:
    """Whether nobody signed it, as when one operator made the whole cluster."""
    return not any(signature for _, _, signature, _ in _signatures(definition))


def is_nobodys(definition: ClusterDefinition) -> bool:
    """Whether nobody signed it, nor is named who could have: the one kind that is agreed on unsigned."""
    return not any(address or signature for _, address, signature, _ in _signatures(definition))


def sign_definition(
    definition: ClusterDefinition, network: Network, *, creator: bytes, operators: Sequence[bytes]
) -> ClusterDefinition:
    """The definition as signed by the accounts of creator and operators, whose addresses become its own.

    Args:
        creator: a secp256k1 secret.
        operators: one for each operator, in their order.

    Raises:
        InputError: they are not as many as the operators.
        MissingExtraError: the extra `files` is not installed.
    """
    if len(operators) != len(definition.operators):
        raise InputError(f"operators: expected {len(definition.operators)} keys, got {len(operators)}")
    addressed = dataclasses.replace(
        definition,
        creator=Creator(_address_of_key(creator)),
        operators=tuple(
            dataclasses.replace(operator, address=_address_of_key(key))
            for operator, key in zip(definition.operators, operators, strict=True)
        ),
    )
    text = to_hex(hashing.config_hash(addressed)).encode()

    def signed(key: bytes, type_: bytes, message: bytes) -> bytes:
        return IdentityKey(key).sign(_digest(_struct(type_, message), network))

    signed_definition = dataclasses.replace(
        addressed,
        creator=dataclasses.replace(addressed.creator, config_signature=signed(creator, CREATOR_TYPE, text)),
        operators=tuple(
            dataclasses.replace(
                operator,
                config_signature=signed(key, OPERATOR_TYPE, text),
                enr_signature=signed(key, RECORD_TYPE, operator.enr.encode()),
            )
            for operator, key in zip(addressed.operators, operators, strict=True)
        ),
    )
    return hashing.with_hashes(signed_definition)


def missing_signatures(definition: ClusterDefinition) -> list[str]:
    """Whose address or signature is missing where others have signed, which no version of charon accepts."""
    return [name for name, address, signature, _ in _signatures(definition) if not (address and signature)]


def unproven_signatures(definition: ClusterDefinition, network: Network) -> list[Unproven]:
    """Whose signature is not by the key of the address.

    An address can be a contract, and whether it has signed only an execution node can tell.
    """
    digested = [
        Unproven(name, address, signature, _digest(message, network))
        for name, address, signature, message in _signatures(definition)
    ]
    return [each for each in digested if not _is_signed(each.address, each.signature, each.digest)]


def _signatures(definition: ClusterDefinition) -> Iterator[tuple[str, str, bytes, bytes]]:
    """Name, address, signature and struct hash of each."""
    config_hash = to_hex(definition.config_hash or hashing.config_hash(definition)).encode()
    creator = definition.creator
    yield "creator", creator.address, creator.config_signature, _struct(CREATOR_TYPE, config_hash)
    for i, operator in enumerate(definition.operators):
        config, record = _struct(OPERATOR_TYPE, config_hash), _struct(RECORD_TYPE, operator.enr.encode())
        yield f"operators[{i}].config_signature", operator.address, operator.config_signature, config
        yield f"operators[{i}].enr_signature", operator.address, operator.enr_signature, record


def _is_signed(address: str, signature: bytes, digest: bytes) -> bool:
    if len(signature) != NODE_SIGNATURE_BYTES or not address:
        return False
    signer = recovered_signer(digest, signature)
    return signer is not None and _address_of(signer) == bytes.fromhex(address.removeprefix("0x"))


def _address_of_key(secret_key: bytes) -> str:
    return checksum_address(_address_of(IdentityKey(secret_key).public_key))


def _address_of(compressed: bytes) -> bytes:
    from coincurve import PublicKey

    return keccak256(PublicKey(compressed).format(compressed=False)[1:])[-ADDRESS_BYTES:]


def _digest(message: bytes, network: Network) -> bytes:
    chain_id = network.chain_id.to_bytes(WORD_BYTES)
    domain = keccak256(keccak256(DOMAIN_TYPE) + keccak256(DOMAIN_NAME) + keccak256(DOMAIN_VERSION) + chain_id)
    return keccak256(b"\x19\x01" + domain + message)


def _struct(type_: bytes, text: bytes) -> bytes:
    """The hash of a message with one text."""
    return keccak256(keccak256(type_) + keccak256(text))
