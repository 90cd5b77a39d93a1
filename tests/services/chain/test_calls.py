"""Calls are encoded as contracts read them, and refusals are told in words."""

from __future__ import annotations

import pytest
from eth_abi.abi import decode, encode

from dvtfast.services.chain import calls
from dvtfast.services.chain.encoding import keccak256
from dvtfast.services.chain.execution import reverts
from dvtfast.services.chain.execution.node import CallRevertedError

VAULT = bytes(range(20))
APPROVAL = calls.ApprovalParams(b"r" * 32, 1_800_000_000, b"v" * 177, b"s" * 130, "bafy")
AS_TUPLE = (b"r" * 32, 1_800_000_000, b"v" * 177, b"s" * 130, "bafy")
HARVEST = calls.HarvestParams(b"w" * 32, -5, 7, (b"p" * 32, b"q" * 32))
PARAMS = "(bytes32,uint256,bytes,bytes,string)"
HARVESTED = "(bytes32,int160,uint160,bytes32[])"


@pytest.mark.parametrize(
    ("call", "signature", "types", "values"),
    [
        (
            calls.register_validators(APPROVAL, b"m" * 65),
            f"registerValidators({PARAMS},bytes)", [PARAMS, "bytes"], (AS_TUPLE, b"m" * 65),
        ),
        (
            calls.register_deposit_data_validators(VAULT, APPROVAL, [1, 0], [True], [b"p" * 32]),
            f"registerValidators(address,{PARAMS},uint256[],bool[],bytes32[])",
            ["address", PARAMS, "uint256[]", "bool[]", "bytes32[]"],
            ("0x" + VAULT.hex(), AS_TUPLE, (1, 0), (True,), (b"p" * 32,)),
        ),
        (
            calls.register_deposit_data_validator(VAULT, APPROVAL, [b"p" * 32]),
            f"registerValidator(address,{PARAMS},bytes32[])",
            ["address", PARAMS, "bytes32[]"], ("0x" + VAULT.hex(), AS_TUPLE, (b"p" * 32,)),
        ),
        (calls.fund_validators(b"a", b"b"), "fundValidators(bytes,bytes)", ["bytes"] * 2, (b"a", b"b")),
        (
            calls.withdraw_validators(b"a", b"b"),
            "withdrawValidators(bytes,bytes)", ["bytes"] * 2, (b"a", b"b"),
        ),
        (
            calls.consolidate_validators(b"a", b"b", b"c"),
            "consolidateValidators(bytes,bytes,bytes)", ["bytes"] * 3, (b"a", b"b", b"c"),
        ),
        (
            calls.update_exit_signatures(VAULT, 9, "cid", b"s"),
            "updateExitSignatures(address,uint256,string,bytes)",
            ["address", "uint256", "string", "bytes"], ("0x" + VAULT.hex(), 9, "cid", b"s"),
        ),
        (
            calls.update_state(HARVEST),
            f"updateState({HARVESTED})", [HARVESTED], ((b"w" * 32, -5, 7, (b"p" * 32, b"q" * 32)),),
        ),
        (
            calls.update_vault_state(VAULT, HARVEST),
            f"updateVaultState(address,{HARVESTED})", ["address", HARVESTED],
            ("0x" + VAULT.hex(), (b"w" * 32, -5, 7, (b"p" * 32, b"q" * 32))),
        ),
        (calls.multicall([b"a", b"bc"]), "multicall(bytes[])", ["bytes[]"], ((b"a", b"bc"),)),
        (calls.encode_call("withdrawableAssets()"), "withdrawableAssets()", [], ()),
    ],
)  # fmt: skip
def test_a_call_is_its_selector_and_its_arguments(
    call: bytes, signature: str, types: list[str], values: tuple[object, ...]
) -> None:
    assert call[:4] == keccak256(signature.encode())[:4]
    assert decode(types, call[4:]) == values


def test_selectors_that_explorers_show() -> None:
    """Those of OpenZeppelin's Multicall and of an ERC-20, which everybody can look up."""
    assert calls.multicall([])[:4] == bytes.fromhex("ac9650d8")
    assert calls.encode_call("balanceOf(address)", VAULT)[:4] == bytes.fromhex("70a08231")


def refusal(signature: str, types: list[str] | None = None, *values: object) -> CallRevertedError:
    data = keccak256(signature.encode())[:4] + encode(types or [], values)
    return CallRevertedError("call reverted: 'execution reverted'", data)


def test_refusals_in_words() -> None:
    assert "too young" in reverts.explain(refusal("Error(string)", ["string"], "too young"))
    assert "overflow" in reverts.explain(refusal("Panic(uint256)", ["uint256"], 0x11))
    assert "registry root" in reverts.explain(refusal("InvalidValidatorsRegistryRoot()"))
    unknown = refusal("NobodyKnows(uint256)", ["uint256"], 1)
    assert reverts.explain(unknown) == "error 0x" + unknown.data[:4].hex()


@pytest.mark.parametrize("data", [b"", b"\x08\xc3\x79\xa0", b"\x08\xc3\x79\xa0" + b"\xff" * 64, b"\x01"])
def test_refusals_that_say_nothing_readable(data: bytes) -> None:
    told = reverts.explain(CallRevertedError("call reverted: 'no'", data))
    assert told == ("error 0x" + data[:4].hex() if data else "call reverted: 'no'")


def test_a_reason_does_nothing_to_a_terminal() -> None:
    told = reverts.explain(refusal("Error(string)", ["string"], "\x1b[2J" + "x" * 1000))
    assert told.isprintable()
    assert len(told) < 120
