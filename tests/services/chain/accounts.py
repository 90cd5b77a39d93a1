"""Accounts of tests, with money on the chain of a test."""

from __future__ import annotations

import json
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from dvtfast.services.chain.encoding import read_address
from tests.services.chain.anvil import CHAIN_ID, Chain

ETHER = 10**18
PASSWORD = "correct horse"


async def rich_account(chain: Chain, *, ether: float = 10) -> LocalAccount:
    """A new account that has something."""
    account = Account.create()
    await chain.rpc("anvil_setBalance", account.address, hex(int(ether * ETHER)))
    return account


def address_of(account: LocalAccount) -> bytes:
    return read_address(account.address)


def write_keystore(folder: Path, account: LocalAccount, password: str = PASSWORD) -> tuple[Path, Path]:
    """A keystore that is cheap to open, and the file with its password."""
    keystore, words = folder / "wallet.json", folder / "wallet.txt"
    keystore.write_text(json.dumps(Account.encrypt(account.key, password, kdf="pbkdf2", iterations=2)))
    words.write_text(password + "\n")
    for path in (keystore, words):
        path.chmod(0o600)
    return keystore, words


async def send_from(chain: Chain, account: LocalAccount, *, nonce: int, to: bytes, gwei: int = 50) -> bytes:
    """A transfer of nothing, as somebody else sends it with the same account; not mined yet."""
    signed = account.sign_transaction(
        {
            "type": 2, "chainId": CHAIN_ID, "nonce": nonce, "to": to, "value": 0, "gas": 30_000,
            "maxFeePerGas": gwei * 10**9, "maxPriorityFeePerGas": 10**9, "data": b"",
        }
    )  # fmt: skip
    await chain.rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
    return bytes(signed.hash)
