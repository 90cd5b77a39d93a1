"""A new definition, as `charon create dkg` makes one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from dvtfast._addresses import checksum_address
from dvtfast._arrays import Rows, as_rows
from dvtfast.errors import InputError
from dvtfast.networks import Network, as_network
from dvtfast.obol import hashing
from dvtfast.obol.lock import (
    ADDRESS_BYTES,
    ClusterDefinition,
    Creator,
    Operator,
    Version,
)

TARGET_GAS_LIMIT = 60_000_000


def make_cluster_definition(
    *,
    network: Network,
    operators: Sequence[Operator],
    threshold: int,
    fee_recipients: Rows,
    withdrawal_addresses: Rows,
    name: str = "",
    version: Version = Version.V1_10,
    deposit_amounts_gwei: Sequence[int] = (),
    consensus_protocol: str = "",
    target_gas_limit: int = TARGET_GAS_LIMIT,
    compounding: bool = False,
    dkg_algorithm: str = "default",
) -> ClusterDefinition:
    """A definition that nobody has signed, with its hashes.

    Args:
        fee_recipients: uint8[n, 20], of n validators.
        withdrawal_addresses: the same.
        deposit_amounts_gwei: of each validator; none are the usual ones.

    Raises:
        InputError: a text is too long, or there is another number of addresses.
    """
    network = as_network(network)
    recipients, _ = as_rows("fee_recipients", fee_recipients, ADDRESS_BYTES)
    addresses, _ = as_rows("withdrawal_addresses", withdrawal_addresses, ADDRESS_BYTES)
    if len(recipients) != len(addresses):
        raise InputError(f"fee_recipients: expected {len(addresses)}, one a validator, got {len(recipients)}")
    written = tuple(
        (checksum_address(recipient.tobytes()), checksum_address(address.tobytes()))
        for recipient, address in zip(recipients, addresses, strict=True)
    )
    _require_length("name", name, hashing.MAX_NAME)
    _require_length("consensus_protocol", consensus_protocol, hashing.MAX_CONSENSUS_PROTOCOL)
    _require_length("dkg_algorithm", dkg_algorithm, hashing.MAX_DKG_ALGORITHM)
    return hashing.with_hashes(
        ClusterDefinition(
            name=name,
            uuid=str(uuid.uuid4()).upper(),
            version=version,
            timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            threshold=threshold,
            dkg_algorithm=dkg_algorithm,
            fork_version=network.genesis_fork_version,
            operators=tuple(operators),
            creator=Creator(),
            fee_recipients=recipients,
            withdrawal_addresses=addresses,
            deposit_amounts_gwei=tuple(deposit_amounts_gwei) if version >= Version.PARTIAL_DEPOSITS else (),
            consensus_protocol=consensus_protocol if version >= Version.CONSENSUS_PROTOCOL else "",
            target_gas_limit=target_gas_limit if version >= Version.GAS_LIMIT_AND_COMPOUNDING else 0,
            compounding=compounding and version >= Version.GAS_LIMIT_AND_COMPOUNDING,
            written_addresses=written,
        )
    )


def _require_length(name: str, text: str, most: int) -> None:
    if len(text.encode()) > most:
        raise InputError(f"{name}: expected at most {most} bytes, got {len(text.encode())}")
