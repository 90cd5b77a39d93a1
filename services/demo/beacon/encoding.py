"""The specification's objects as JSON of the beacon API, and back; SSZ where it is smaller.

Source: beacon API, "Encoding": integers are decimal strings, bytes and bit fields 0x and hex.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from ...chain.encoding import read_data, write_data

INTEGER_DIGITS: Final = 78  # of 2^256
ssz: Any = import_module("eth_consensus_specs.utils.ssz.ssz_typing")
BITS: Final = (ssz.BitList, ssz.BitVector)
LISTS: Final = (ssz.List, ssz.Vector)


def to_json(value: Any) -> Any:
    """What the JSON of an object is made from."""
    if isinstance(value, ssz.Boolean):
        return bool(value)
    if isinstance(value, ssz.Uint):
        return str(int(value))
    if isinstance(value, BITS):
        return write_data(value.encode_bytes())
    if isinstance(value, LISTS):
        return [to_json(each) for each in value]
    if isinstance(value, bytes):
        return write_data(value)
    return {name: to_json(getattr(value, name)) for name in value.fields()}


def from_json(kind: Any, value: Any, name: str = "body") -> Any:
    """An object of a type of the specification.

    Raises:
        ValueError: naming what is not as it should be.
    """
    if issubclass(kind, ssz.Boolean):
        if not isinstance(value, bool):
            raise ValueError(f"{name}: expected true or false")
        return kind(value)
    if issubclass(kind, ssz.Container):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}: expected an object")
        return kind(
            **{
                field: from_json(of, value.get(field), f"{name}.{field}")
                for field, of in kind.fields().items()
            }
        )
    if issubclass(kind, LISTS):
        if not isinstance(value, list):
            raise ValueError(f"{name}: expected a list")
        of = kind.element_cls()
        items = [from_json(of, each, f"{name}[{place}]") for place, each in enumerate(value)]
        return _made(kind, items, name)
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a string")
    if issubclass(kind, ssz.Uint):
        if not (value.isascii() and value.isdigit() and len(value) <= INTEGER_DIGITS):
            raise ValueError(f"{name}: expected a decimal number")
        return _made(kind, int(value), name)
    try:
        data = read_data(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return from_ssz(kind, data, name) if issubclass(kind, BITS) else _made(kind, data, name)


def from_ssz(kind: Any, data: bytes, name: str = "body") -> Any:
    """An object of a type of the specification.

    Raises:
        ValueError: it is none.
    """
    try:
        return kind.decode_bytes(data)
    except Exception as error:  # of whatever kind: the library has many
        raise ValueError(f"{name}: no SSZ of {kind.__name__}: {error}") from None


def _made(kind: Any, value: Any, name: str) -> Any:
    try:
        return kind(value)
    except Exception as error:  # as above: too long, too large
        raise ValueError(f"{name}: no {kind.__name__}: {error}") from None
