"""Cluster locks of hostile making: each field wrong in turn, in its kind and in its value."""

import json
import re

import pytest

from dvtfast import FileError, obol
from dvtfast.clusters import read_cluster_lock
from tests.json_fields import OTHER_KIND, changed, fields, written
from tests.vector_files import load

LOCK = load("obol/synthetic/locks/cluster-lock-v1.10.0.json")
# Go writes nothing as null, and what is missing is told when a lock is verified.
NULL_IS_NOTHING = (
    "name",
    "deposit_amounts", "config_hash", "definition_hash", "partial_deposit_data", "signature_aggregate",
    "lock_hash", "node_signatures",
)  # fmt: skip
UNSIGNED = ("address", "config_signature", "enr_signature")  # empty in this one


@pytest.fixture
def read(tmp_path):
    """Read a document as a lock, unverified."""

    def reading(document):
        path = tmp_path / "lock.json"
        path.write_text(json.dumps(document))
        return obol.read_cluster_lock(path)

    return reading


def test_every_field_of_another_kind_is_named(read):
    count = 0
    for places, value in fields(LOCK):
        for wrong in (OTHER_KIND[type(value)], None):
            if wrong is None and places[-1] in NULL_IS_NOTHING:
                continue
            with pytest.raises(FileError, match=re.escape(f"json: {written(places)}: ")):
                read(changed(LOCK, places, wrong))
            count += 1
    assert count > 200


def test_no_value_can_be_changed(tmp_path, read):
    """Whatever is changed without breaking the form, the lock is none of this cluster any more."""
    path = tmp_path / "changed.json"
    count = 0
    for places, value in fields(LOCK):
        if isinstance(value, dict | list) or not (other := another(value, places)):
            continue
        path.write_text(json.dumps(changed(LOCK, places, other)))
        with pytest.raises(FileError):
            read_cluster_lock(path)
        count += 1
    assert count > 80


def another(value, places):
    """Another value of the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value.startswith("0x") and len(value) > 2:
        middle = len(value) // 2  # the last digit of a node's signature is of no account
        return value[:middle] + ("1" if value[middle] != "1" else "2") + value[middle + 1 :]
    if value.isdigit():
        return str(int(value) + 1)
    return None if places[-1] in UNSIGNED else value + "x"
