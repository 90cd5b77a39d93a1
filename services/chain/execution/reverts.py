"""Why a contract refuses a call, in words."""

from __future__ import annotations

from typing import Final

from ..calls import SELECTOR_BYTES, decode_values
from ..encoding import keccak256, shown, write_data
from .node import CallRevertedError

# Source: Solidity documentation, Panic via assert and error via require.
PANICS: Final = {
    0x01: "an assertion failed",
    0x11: "an arithmetic overflow",
    0x12: "a division by zero",
    0x21: "a wrong enum value",
    0x31: "pop of an empty array",
    0x32: "an index out of range",
    0x41: "out of memory",
    0x51: "a call of an uninitialized function",
}

# Source: v3-core, contracts/libraries/Errors.sol and what its contracts define; what a registration can meet.
NAMED: Final = {
    "AccessDenied()": "the sender, or the validators manager's signature, is not the one the vault wants",
    "DeadlineExpired()": "the oracles' approval is too old",
    "InvalidValidatorsRegistryRoot()": "somebody deposited since the approval: the registry root is another",
    "InvalidValidators()": "the validators are not encoded as the vault wants",
    "InvalidValidator()": "a validator is not one of the vault's",
    "InvalidSignature()": "a signature is wrong",
    "InvalidOracle()": "an oracle's signature is by nobody the Keeper knows, or out of order",
    "NotEnoughSignatures()": "fewer oracles approved than the Keeper wants",
    "InvalidProof()": "the proof does not fit the deposit data root, or the rewards root",
    "NotHarvested()": "the vault must take its rewards first",
    "NotCollateralized()": "the vault has registered no validators yet",
    "InsufficientAssets()": "the vault has too few assets",
    "ValueZero()": "an amount is zero",
    "InvalidAssets()": "an amount is wrong",
}


def explain(error: CallRevertedError) -> str:
    """What the contract says, as well as it can be told."""
    return explain_data(error.data) or str(error)


def explain_data(data: bytes) -> str:
    """The same for what came back from a call; "" when nothing did."""
    selector, arguments = data[:SELECTOR_BYTES], data[SELECTOR_BYTES:]
    try:
        if selector == _ERROR:
            return shown(decode_values(["string"], arguments)[0])
        if selector == _PANIC:
            code = decode_values(["uint256"], arguments)[0]
            return f"panic {code:#x}: {PANICS.get(code, 'of an unknown kind')}"
    except ValueError:
        pass
    if selector in _NAMED:
        name = _NAMED[selector]
        return f"{name}: {NAMED[name]}"
    return f"error {write_data(selector)}" if data else ""


def _selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:SELECTOR_BYTES]


_ERROR = _selector("Error(string)")
_PANIC = _selector("Panic(uint256)")
_NAMED = {_selector(name): name for name in NAMED}
