"""Containers of duties beside the executable specification: what it reads and refuses, and its roots."""

from functools import cache
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast.duties import attestations, blocks, payloads, sync_committees, validator_messages
from dvtfast.duties.codecs import codec
from dvtfast.duties.presets import MAINNET_PRESET, MINIMAL_PRESET
from dvtfast.duties.ssz import SszError
from tests import ssz_reference

MODULES = (attestations, blocks, payloads, sync_committees, validator_messages)
# Changed by electra: what has no such name is of deneb.
CHANGED = {
    cls.removesuffix("Electra") for module in MODULES for cls in vars(module) if cls.endswith("Electra")
}
# Of builder-specs, of the beacon API, or of charon, not of the specification.
BESIDE = ("Blinded", "Contents", "Registration", "Duty", "Selection", "Randao", "BodyStart")
CLASSES = [
    cls
    for module in MODULES
    for cls in vars(module).values()
    if isinstance(cls, type) and cls.__module__ == module.__name__
    if not any(name in cls.__name__ for name in BESIDE) or cls.__name__ == "SyncAggregatorSelectionData"
]


@cache
def specification(cls, preset):
    name = cls.__name__.removesuffix("Electra")
    fork = "deneb" if name in CHANGED and name == cls.__name__ else "fulu"
    return getattr(import_module(f"eth_consensus_specs.{fork}.{preset.name}"), name)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=10)
@given(data=st.data(), preset=st.sampled_from([MAINNET_PRESET, MINIMAL_PRESET]))
def test_the_specification_reads_the_same(cls, data, preset):
    value = data.draw(ssz_reference.values(cls, preset.sizes))
    encoded = codec(cls, preset).encode(value)
    theirs = specification(cls, preset).decode_bytes(encoded)
    assert theirs.encode_bytes() == encoded
    assert bytes(theirs.hash_tree_root()) == codec(cls, preset).root(value)

    spoilt = bytearray(encoded)
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(spoilt)))
        match data.draw(st.sampled_from(["change", "cut", "put"])):
            case "change" if at < len(spoilt):
                spoilt[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del spoilt[at : at + data.draw(st.integers(1, 8))]
            case "put":
                spoilt[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    assert is_read(cls, preset, bytes(spoilt)) == is_read_by_specification(cls, preset, bytes(spoilt))


def is_read(cls, preset, data):
    try:
        codec(cls, preset).decode(data)
    except SszError:
        return False
    return True


def is_read_by_specification(cls, preset, data):
    """It may read what it would not write."""
    try:
        return specification(cls, preset).decode_bytes(data).encode_bytes() == data
    except Exception:
        return False
