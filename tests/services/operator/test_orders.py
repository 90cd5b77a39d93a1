"""What a person wants done with validators, as flags and as files: nothing is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dvtfast.services.operator.commands.order_files import read_amounts, read_keys_by_index, read_pairs
from dvtfast.services.settings import (
    ConsolidateSettings,
    FundSettings,
    SettingsError,
    WithdrawSettings,
    orders,
)
from dvtfast.services.settings.orders import AmountOrder, ConsolidationOrder
from dvtfast.services.wire import PublicKey

KEYS = [PublicKey(bytes([0x80 + number]) * 48) for number in range(3)]
FIRST, SECOND, _ = (key.to_wire() for key in KEYS)


@pytest.mark.parametrize(
    ("text", "gwei"),
    [
        ("1eth", 10**9),
        ("1.5 ETH", 1_500_000_000),
        ("0.000000001eth", 1),
        ("1gwei", 1),
        ("18446744073709551615gwei", 2**64 - 1),
        ("1gno", 32 * 10**9),
        ("0.03125 GNO", 10**9),
        ("0.00000000003125gno", 1),
    ],
)
def test_amounts(text: str, gwei: int) -> None:
    found = orders.amount(f"{FIRST}={text}")
    assert (found.public_key, found.gwei) == (KEYS[0], gwei)
    assert found.unit == text.lower().lstrip("0123456789. ")


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.5", "eth", "1wei", "-1eth", "+1eth", "1e9gwei", "0eth", "0gwei", "1.5gwei", "1,5eth",
        ".5eth", "0.0000000001eth", "18446744073709551616gwei", "20000000000eth", "1eth1", "٣eth", "0x1gwei",
        "0.00000000003124gno", "1mgno", "0.0000000000000000000eth",
    ],
)  # fmt: skip
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        orders.amount(f"{FIRST}={text}")


@pytest.mark.parametrize("text", ["", FIRST, f"{FIRST}:1eth", f"{FIRST[:-1]}=1eth", "=1eth"])
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        orders.amount(text)
    with pytest.raises(ValueError, match="expected"):
        orders.pair(text)


FILES = {
    "a.csv": f"# ours\npublic_key,amount_eth\n\n{FIRST}, 1.5\n{SECOND},0.000000007\n",
    "b.csv": f"Amount_Gwei,PUBLIC_KEY,name\n1500000000,{FIRST},x\n7,{SECOND[2:].upper()},y\n",
    "a.json": f'[{{"public_key": "{FIRST}", "amount_gwei": 1500000000}},'
    f' {{"public_key": "{SECOND}", "amount_eth": "0.000000007"}}]',
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_amounts(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    found = read_amounts(path)
    assert [(each.public_key, each.gwei) for each in found] == [(KEYS[0], 1_500_000_000), (KEYS[1], 7)]


def test_files_without_amounts_are_for_exits(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text(f"public_key\n{FIRST}\n{SECOND}\n")
    assert read_amounts(path, all_of_it=True) == [AmountOrder(KEYS[0], None), AmountOrder(KEYS[1], None)]
    with pytest.raises(
        SettingsError, match=r"line 2: expected one of amount_gwei, amount_eth, amount_gno, got none"
    ):
        read_amounts(path)
    path.write_text(FILES["a.csv"])
    with pytest.raises(SettingsError, match=r"line 4: .*--exit"):
        read_amounts(path, all_of_it=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "at least one"),
        ("public_key,amount_gwei\n", "at least one"),
        (f"public_key,amount_gwei,amount_eth\n{FIRST},1,1", "line 2: expected one of amount_gwei"),
        (f"public_key,amount_gwei\n{FIRST},1,1", "line 2: expected as many cells"),
        (f"key,amount_gwei\n{FIRST},1", "line 2: public_key: missing"),
        (f'public_key,amount_gwei\n"{FIRST},1', "line 2: "),
        ("[1]", "list of objects"),
        ("{}", "list of objects"),
        ('[{"public_key": "0x", "amount_gwei": 1}]', "item 0: expected 48 bytes"),
        (f'[{{"public_key": "{FIRST}", "amount_gwei": true}}]', "item 0: expected an amount"),
        (f'[{{"public_key": "{FIRST}", "amount_gwei": null}}]', "item 0: expected one of amount_gwei"),
        ("[" * 10_000, "list of objects"),
        ("\x00", "line 1: a zero byte"),
    ],
)  # fmt: skip
def test_files_that_are_wrong(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "amounts"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        read_amounts(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_many_wrong_lines(tmp_path: Path) -> None:
    path = tmp_path / "amounts.csv"
    path.write_text("public_key,amount_gwei\n" + "x,1\n" * 30)
    with pytest.raises(SettingsError) as caught:
        read_amounts(path)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "and 10 more"


def test_files_of_pairs_and_indices(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(f"source_public_key,target_public_key\n{FIRST},{SECOND}\n{SECOND},{SECOND}\n")
    assert read_pairs(path) == [ConsolidationOrder(KEYS[0], KEYS[1]), ConsolidationOrder(KEYS[1], KEYS[1])]
    path.write_text(f"validator_index,public_key\n7,{FIRST}\n9,{SECOND}\n")
    assert read_keys_by_index(path) == {7: bytes(KEYS[0]), 9: bytes(KEYS[1])}
    path.write_text(f"validator_index,public_key\n7,{FIRST}\n8,{FIRST}\n")
    with pytest.raises(SettingsError, match="each public_key once"):
        read_keys_by_index(path)


BASE: dict[str, Any] = {
    "network": "hoodi",
    "relayer": "http://relayer",
    "vault": "0x" + "11" * 20,
    "execution_endpoints": ["http://geth"],
    "consensus_endpoints": ["http://beacon"],
    "ipfs_gateways": ["http://ipfs"],
    "signer": "http://signer",
    "signer_address": "0x" + "22" * 20,
}


@pytest.mark.parametrize(
    ("kind", "told", "says"),
    [
        (FundSettings, {}, "expected one of --validator"),
        (FundSettings, {"validators": [f"{FIRST}=1eth"], "validators_file": __file__}, "got both"),
        (FundSettings, {"validators": [f"{FIRST}=1"]}, "with its unit"),
        (
            FundSettings,
            {"validators": [f"{FIRST}=1eth"], "network": "gnosis"},
            "on gnosis: expected gno, or gwei",
        ),
        (WithdrawSettings, {"validators": [f"{FIRST}=1gno"]}, "on hoodi: expected eth, or gwei"),
        (WithdrawSettings, {"validators": [FIRST]}, "--exit takes everything"),
        (WithdrawSettings, {"validators": [f"{FIRST}=1eth"], "exit": "true"}, "expected the key alone"),
        (WithdrawSettings, {"validators": [f"{FIRST}=0gwei"]}, "above 0"),
        (ConsolidateSettings, {}, "expected one of --pair"),
        (ConsolidateSettings, {"pairs": [f"{FIRST}={SECOND}"], "ipfs_gateways": []}, "no oracle config"),
        (
            ConsolidateSettings,
            {"pairs": [f"{FIRST}={SECOND}"], "consensus_endpoints": []},
            "not set: without a beacon node",
        ),
        (
            FundSettings,
            {"validators": [f"{FIRST}=1eth"], "max_validator_balance_gwei": "2048000000001"},
            "expected 32000000000..2048000000000",
        ),
    ],
)
def test_settings_that_are_wrong(kind: Any, told: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        kind.load({**BASE, **told}, {})
    assert says in str(caught.value)
    assert len(caught.value.problems) == 1


def test_settings_that_are_right() -> None:
    gnosis = {**BASE, "network": "gnosis"}
    (validator,) = WithdrawSettings.load({**gnosis, "validators": [f"{FIRST}=0.5gno"]}, {}).validators
    assert validator.gwei == 16 * 10**9
    assert FundSettings.load({**BASE, "validators": [f"{FIRST}=1eth"], "ipfs_gateways": []}, {}).validators
    settings = WithdrawSettings.load({**BASE, "validators": [FIRST], "exit": "true"}, {})
    assert settings.validators == (AmountOrder(KEYS[0], None),)
