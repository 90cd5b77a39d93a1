"""charon's cluster-definition.json, and the same within a lock: from JSON and to it.

Nothing is verified here; see rules.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dvtfast._files import Field, parse_json, to_hex, write_json
from dvtfast.constants import ROOT_BYTES
from dvtfast.files import read_bytes
from dvtfast.obol import hashing
from dvtfast.obol.fields import column, data_or_none, hex_or_none, items_or_null
from dvtfast.obol.lock import (
    ADDRESS_BYTES,
    MAX_OPERATORS,
    MAX_VALIDATORS,
    NODE_SIGNATURE_BYTES,
    ClusterDefinition,
    Creator,
    Operator,
    Version,
)

# As charon has it; 65,536 validators have 12 MB.
MAX_DEFINITION_BYTES = 16 * 1024**2
FORK_VERSION_BYTES = 4


def read_cluster_definition(path: Path | str, *, content: bytes | None = None) -> ClusterDefinition:
    """Read a definition of a known version; nothing is verified yet.

    Args:
        path: the file, or what its content came from, for errors.
        content: by a caller who has it.

    Raises:
        FileError: it is no such definition.
    """
    path = Path(path)
    if content is None:
        content = read_bytes(path, limit_bytes=MAX_DEFINITION_BYTES)
    return parse_cluster_definition(parse_json(content, path))


def write_cluster_definition(path: Path | str, definition: ClusterDefinition) -> None:
    """Write a definition in charon's layout."""
    write_json(path, cluster_definition_to_json(definition))


def parse_cluster_definition(field: Field) -> ClusterDefinition:
    """A definition from its JSON; see `read_cluster_definition`."""
    version = _parse_version(field["version"])
    operators = field["operators"].items(fewest=1, most=MAX_OPERATORS)
    n = field["num_validators"].integer(low=1, high=MAX_VALIDATORS)
    validators = field["validators"].items(fewest=n, most=n)
    later: dict[str, Any] = {}
    if version >= Version.PARTIAL_DEPOSITS:
        amounts = items_or_null(field, "deposit_amounts", most=hashing.MAX_DEPOSIT_AMOUNTS)
        later["deposit_amounts_gwei"] = tuple(amount.integer() for amount in amounts)
    if version >= Version.CONSENSUS_PROTOCOL:
        later["consensus_protocol"] = field["consensus_protocol"].text(longest=hashing.MAX_CONSENSUS_PROTOCOL)
    if version >= Version.GAS_LIMIT_AND_COMPOUNDING:
        later["target_gas_limit"] = field["target_gas_limit"].integer()
        later["compounding"] = field["compounding"].flag()
    return ClusterDefinition(
        name=name.text(longest=hashing.MAX_NAME) if (name := field.get("name")) else "",
        uuid=field["uuid"].text(longest=hashing.MAX_UUID),
        version=version,
        timestamp=field["timestamp"].text(longest=hashing.MAX_TIMESTAMP),
        threshold=field["threshold"].integer(low=1, high=len(operators)),
        dkg_algorithm=field["dkg_algorithm"].text(longest=hashing.MAX_DKG_ALGORITHM),
        fork_version=field["fork_version"].data(FORK_VERSION_BYTES),
        operators=_parse_operators(operators, version),
        creator=Creator(
            _parse_address(field["creator"]["address"]),
            _parse_signature(field["creator"]["config_signature"], version),
        ),
        fee_recipients=column(validators, "fee_recipient_address", ADDRESS_BYTES),
        withdrawal_addresses=column(validators, "withdrawal_address", ADDRESS_BYTES),
        written_addresses=tuple(
            (each["fee_recipient_address"].text(), each["withdrawal_address"].text()) for each in validators
        ),
        config_hash=data_or_none(field, "config_hash", ROOT_BYTES),
        definition_hash=data_or_none(field, "definition_hash", ROOT_BYTES),
        **later,
    )


def _parse_version(field: Field) -> Version:
    for version in Version:
        if version.text == field.text():
            return version
    raise field.wrong(f"expected one of {', '.join(version.text for version in Version)}")


def _parse_operators(fields: Sequence[Field], version: Version) -> tuple[Operator, ...]:
    """The operators; no two of them have one ENR: that would be one node with two shares of each key.

    Before they have agreed, those that are named by their address have none.
    """
    operators = tuple(_parse_operator(field, version) for field in fields)
    first_with: dict[str, int] = {}
    for i, operator in enumerate(operators):
        if operator.enr and (first := first_with.setdefault(operator.enr, i)) != i:
            raise fields[i]["enr"].wrong(f"the same as of operators[{first}]; each node has its own")
    return operators


def _parse_operator(field: Field, version: Version) -> Operator:
    return Operator(
        enr=field["enr"].text(longest=hashing.MAX_ENR),
        address=_parse_address(field["address"]),
        config_signature=_parse_signature(field["config_signature"], version),
        enr_signature=_parse_signature(field["enr_signature"], version),
    )


def _parse_address(field: Field) -> str:
    """The address as it is written: upper and lower case are its checksum."""
    field.data(ADDRESS_BYTES, empty=True)
    return field.text()


def _parse_signature(field: Field, version: Version) -> bytes:
    if version < Version.SIGNATURE_LISTS:
        return field.data(NODE_SIGNATURE_BYTES, empty=True)
    data = field.data()
    if len(data) % NODE_SIGNATURE_BYTES or len(data) > hashing.MAX_SIGNATURES * NODE_SIGNATURE_BYTES:
        raise field.wrong(
            f"expected at most {hashing.MAX_SIGNATURES} signatures of {NODE_SIGNATURE_BYTES} bytes"
        )
    return data


def cluster_definition_to_json(definition: ClusterDefinition) -> dict[str, Any]:
    """A definition as charon's JSON."""
    version = definition.version
    document: dict[str, Any] = {
        **({"name": definition.name} if definition.name else {}),  # charon leaves out one that is empty
        "creator": {
            "address": definition.creator.address,
            "config_signature": hex_or_none(definition.creator.config_signature),
        },
        "operators": [
            {
                "address": operator.address,
                "enr": operator.enr,
                "config_signature": hex_or_none(operator.config_signature),
                "enr_signature": hex_or_none(operator.enr_signature),
            }
            for operator in definition.operators
        ],
        "uuid": definition.uuid,
        "version": version.text,
        "timestamp": definition.timestamp,
        "num_validators": len(definition.fee_recipients),
        "threshold": definition.threshold,
        "validators": [
            {"fee_recipient_address": recipient, "withdrawal_address": address}
            for recipient, address in definition.written_addresses or _addresses(definition)
        ],
        "dkg_algorithm": definition.dkg_algorithm,
        "fork_version": to_hex(definition.fork_version),
    }
    if version >= Version.PARTIAL_DEPOSITS:
        document["deposit_amounts"] = [str(amount) for amount in definition.deposit_amounts_gwei] or None
    if version >= Version.CONSENSUS_PROTOCOL:
        document["consensus_protocol"] = definition.consensus_protocol
    if version >= Version.GAS_LIMIT_AND_COMPOUNDING:
        document["target_gas_limit"] = definition.target_gas_limit
        document["compounding"] = definition.compounding
    document["config_hash"] = to_hex(definition.config_hash)
    document["definition_hash"] = to_hex(definition.definition_hash)
    return document


def _addresses(definition: ClusterDefinition) -> Iterator[tuple[str, str]]:
    for recipient, address in zip(definition.fee_recipients, definition.withdrawal_addresses, strict=True):
        yield to_hex(recipient), to_hex(address)
