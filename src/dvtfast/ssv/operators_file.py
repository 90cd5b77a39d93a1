"""A file of SSV operators: a list of ids and public keys, as SSV's API and DKG tool have it.

Source: ssv-dkg, operators info.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dvtfast._files import read_json
from dvtfast.errors import InputError
from dvtfast.ssv.operator_keys import OperatorPublicKey
from dvtfast.ssv.shares import CLUSTER_SIZES, check_operator_ids

MAX_FILE_BYTES: Final = 1024**2


def read_operators(path: Path | str) -> dict[int, OperatorPublicKey]:
    """The public keys of the operators of a cluster by their ids, ascending.

    Raises:
        FileError: it is no such list, or not of one cluster.
    """
    document = read_json(path, limit_bytes=MAX_FILE_BYTES)
    operators: dict[int, OperatorPublicKey] = {}
    for item in document.items(fewest=min(CLUSTER_SIZES), most=max(CLUSTER_SIZES)):
        operator_id = item["id"].integer(low=1)
        if operator_id in operators:
            raise item["id"].wrong("repeated")
        try:
            operators[operator_id] = OperatorPublicKey.from_text(item["public_key"].text())
        except InputError as error:
            raise item["public_key"].wrong(str(error).removeprefix("operator_key: ")) from None
    ordered = dict(sorted(operators.items()))
    try:
        check_operator_ids(tuple(ordered))
    except InputError as error:
        raise document.wrong(str(error).removeprefix("operator_ids: ")) from None
    return ordered
