"""The oracle config that the StakeWise Keeper points to: who the oracles are and how many recover an exit.

Source: StakeWise sw-utils, protocol_config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._files import Field, read_json, rows, to_hex, write_json
from dvtfast.constants import ORACLE_PUBLIC_KEY_BYTES
from dvtfast.ecies import check_receivers

MAX_FILE_BYTES = 4 * 1024**2
# The Keeper contract takes 30 oracles; a share index still fits in a byte.
MAX_ORACLES = 255
MAX_ENDPOINTS = 100


@dataclass(frozen=True, eq=False)
class OracleConfig:
    """The oracles in share order: the one at position p has share index p + 1.

    Attributes:
        public_keys: uint8[k, 64], secp256k1 points x | y.
        endpoints: URLs of each oracle.
        exit_signature_recover_threshold: that many oracles recover an exit signature.
        raw: the whole document, with the fields that nothing here needs.
    """

    public_keys: Bytes
    endpoints: tuple[tuple[str, ...], ...]
    exit_signature_recover_threshold: int
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The document, with `raw`'s other fields as they were."""
        return {
            **self.raw,
            "oracles": [
                {"public_key": to_hex(public_key), "endpoints": list(endpoints)}
                for public_key, endpoints in zip(self.public_keys, self.endpoints, strict=True)
            ],
            "exit_signature_recover_threshold": self.exit_signature_recover_threshold,
        }


def read_oracle_config(path: Path | str) -> OracleConfig:
    """Read and check an oracle config.

    Raises:
        FileError: it is no such document, a key repeats or is not on secp256k1, or the threshold
            is above the number of oracles.
        MissingExtraError: the extra `files` is not installed.
    """
    return _parse(read_json(path, limit_bytes=MAX_FILE_BYTES))


def parse_oracle_config(document: Any) -> OracleConfig:
    """The same from parsed JSON, as IPFS serves it."""
    return _parse(Field(document))


def write_oracle_config(path: Path | str, config: OracleConfig) -> None:
    """Write the document."""
    write_json(path, config.to_json())


def _parse(document: Field) -> OracleConfig:
    oracles = document["oracles"].items(fewest=1, most=MAX_ORACLES)
    keys = [oracle["public_key"] for oracle in oracles]
    public_keys = rows(keys, ORACLE_PUBLIC_KEY_BYTES)
    for position in np.flatnonzero(~check_receivers(public_keys)):
        raise keys[position].wrong("not a point of secp256k1")
    first_use = np.unique(public_keys, axis=0, return_index=True)[1]
    for position in np.setdiff1d(np.arange(len(keys)), first_use):
        raise keys[position].wrong("repeated")
    return OracleConfig(
        public_keys=public_keys,
        endpoints=tuple(_parse_endpoints(oracle) for oracle in oracles),
        exit_signature_recover_threshold=document["exit_signature_recover_threshold"].integer(
            low=1, high=len(oracles)
        ),
        raw=document.value,
    )


def _parse_endpoints(oracle: Field) -> tuple[str, ...]:
    older = oracle.get("endpoint")  # one instead of several
    fields = [older] if older else oracle["endpoints"].items(most=MAX_ENDPOINTS)
    return tuple(endpoint.text() for endpoint in fields)
