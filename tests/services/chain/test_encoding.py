"""Hex as JSON-RPC and people write it: read strictly."""

from __future__ import annotations

import pytest

from dvtfast.networks import NETWORKS
from dvtfast.services.chain.encoding import (
    keccak256,
    read_address,
    read_data,
    read_quantity,
    write_address,
    write_data,
    write_quantity,
)

# The examples of EIP-55.
CHECKSUMMED = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
]


@pytest.mark.parametrize("number", [0, 1, 255, 2**64 - 1])
def test_quantities(number: int) -> None:
    assert read_quantity(write_quantity(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "1",
        "0x01",
        "0x00",
        "-0x1",
        "0x-1",
        "0x1 ",
        " 0x1",
        "0x1_0",
        "0xg",
        "0X1",
        "0x" + "f" * 17,
        "0x1\n",
    ],
)
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="expected a quantity"):
        read_quantity(text)


def test_data() -> None:
    assert read_data("0x") == b""
    assert read_data(write_data(b"\x00\xff"), width=2) == b"\x00\xff"
    assert read_data("0xAbCd") == b"\xab\xcd"


@pytest.mark.parametrize("text", ["", "00ff", "0x0", "0x0g", "0x00 ff", "0x00ff", "0x٠٠"])
def test_no_data(text: str) -> None:
    with pytest.raises(ValueError, match="expected 1 bytes of hex"):
        read_data(text, width=1)


@pytest.mark.parametrize("text", CHECKSUMMED)
def test_addresses(text: str) -> None:
    address = read_address(text)
    assert write_address(address) == text
    assert read_address(text.lower()) == address
    assert read_address("0x" + text[2:].upper()) == address


@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
def test_the_addresses_of_the_networks(network) -> None:
    for text in (network.deposit_contract, network.keeper):
        assert write_address(read_address(text)) == text


def test_a_mistyped_address() -> None:
    with pytest.raises(ValueError, match="mistyped"):
        read_address(CHECKSUMMED[0].replace("5aA", "5aa"))
    with pytest.raises(ValueError, match="expected an address"):
        read_address(CHECKSUMMED[0][:-1])


def test_keccak() -> None:
    digest = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"") == bytes.fromhex(digest)
