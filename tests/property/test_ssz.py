"""Containers of duties beside a slow reference: bytes, JSON, roots; whatever is read is written alike."""

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast.duties import attestations, bits, blocks, payloads, sync_committees, validator_messages
from dvtfast.duties.codecs import codec
from dvtfast.duties.presets import GNOSIS_PRESET, MAINNET_PRESET, MINIMAL_PRESET
from dvtfast.duties.ssz import SszError
from tests import ssz_reference

PRESETS = st.sampled_from([MAINNET_PRESET, MINIMAL_PRESET, GNOSIS_PRESET])
CLASSES = [
    cls
    for module in (attestations, blocks, payloads, sync_committees, validator_messages)
    for cls in vars(module).values()
    if isinstance(cls, type) and cls.__module__ == module.__name__
]
SMALL = [cls for cls in CLASSES if "Contents" not in cls.__name__ and "Blo" not in cls.__name__]


@cache
def drawn(cls, preset):
    return ssz_reference.values(cls, preset.sizes)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=6)
@given(data=st.data(), preset=PRESETS)
def test_whatever_is_written_is_read_again(cls, data, preset):
    values = codec(cls, preset)
    value = data.draw(drawn(cls, preset))
    encoded = values.encode(value)
    assert values.decode(encoded) == value
    assert values.from_json(json.loads(json.dumps(values.to_json(value)))) == value
    assert values.root(value) == ssz_reference.root(cls, value, preset.sizes)
    assert values.width in (0, len(encoded))


@pytest.mark.parametrize("cls", SMALL, ids=lambda cls: cls.__name__)
@settings(max_examples=10)
@given(data=st.data(), preset=PRESETS)
def test_what_is_read_of_spoilt_bytes_is_what_they_are(cls, data, preset):
    """There is one way to write a value: bytes that are read are those that would be written."""
    values = codec(cls, preset)
    encoded = bytearray(values.encode(data.draw(drawn(cls, preset))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(encoded), 400)))
        match data.draw(st.sampled_from(["change", "cut", "put", "swap"])):
            case "change" if at < len(encoded):
                encoded[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del encoded[at : at + data.draw(st.integers(1, 40))]
            case "put":
                encoded[at:at] = data.draw(st.binary(min_size=1, max_size=8))
            case "swap":
                encoded[at : at + 8] = encoded[at + 4 : at + 8] + encoded[at : at + 4]
    try:
        value = values.decode(bytes(encoded))
    except SszError:
        assert values.problems([bytes(encoded)]) != [""]
        return
    assert values.encode(value) == encoded
    assert values.problems([bytes(encoded)]) == [""]
    assert values.root(value) == ssz_reference.root(cls, value, preset.sizes)


@given(data=st.data(), cls=st.sampled_from(SMALL), n=st.integers(0, 5))
def test_a_batch_is_its_values_one_by_one(data, cls, n):
    values = codec(cls)
    batch = [data.draw(drawn(cls, MAINNET_PRESET)) for _ in range(n)]
    roots = values.roots(batch)
    assert roots.shape == (n, 32)
    assert [row.tobytes() for row in roots] == [values.root(value) for value in batch]
    if values.width:
        rows = np.frombuffer(b"".join(map(values.encode, batch)), np.uint8).reshape(n, values.width)
        assert np.array_equal(values.rows_roots(rows), roots)


@given(data=st.data(), length=st.integers(0, 700))
def test_bits_are_where_they_were_set(data, length):
    positions = sorted(data.draw(st.sets(st.integers(0, length - 1))) if length else [])
    assert bits.set_positions(bits.bitvector(positions, length)) == positions
    written = bits.bitlist(positions, length)
    assert bits.set_positions(written) == [*positions, length]
    assert bits.bitlist_length(written) == length
