"""Wallets: what is sent is what was meant, signed by whom it was meant, whoever signs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from eth_account import Account
from eth_account.signers.local import LocalAccount

from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution.transactions import Call, Transaction
from dvtfast.services.keys.account_key import AccountKeyError
from dvtfast.services.operator.sending.wallet import ExternalWallet, KeystoreWallet, WalletError, require_same
from tests.services.chain.accounts import address_of, write_keystore
from tests.services.chain.anvil import CHAIN_ID
from tests.services.chain.servers import DEAD, serving
from tests.services.patience import ANSWER_SECONDS

ACCOUNT = Account.from_key("0x" + "22" * 32)
OTHER = Account.from_key("0x" + "33" * 32)
TARGET = bytes(range(1, 21))


def transaction(**changes: Any) -> Transaction:
    call = Call(address_of(ACCOUNT), TARGET, b"\x01\x02", 5)
    whole = Transaction(CHAIN_ID, nonce=7, call=call, gas=90_000, max_fee_wei=30, priority_fee_wei=2)
    return replace(whole, **changes)


def signed(account: LocalAccount = ACCOUNT, **changes: Any) -> bytes:
    fields = transaction().to_json()
    fields.pop("from")
    fields["to"] = write_address(TARGET)
    return bytes(account.sign_transaction({**fields, **changes}).raw_transaction)


async def test_a_keystore_signs_what_it_is_asked(tmp_path: Path) -> None:
    wallet = await KeystoreWallet.load(*write_keystore(tmp_path, ACCOUNT), CHAIN_ID)
    raw = await wallet.sign(transaction())
    require_same(raw, transaction())
    assert Account.recover_transaction(raw) == ACCOUNT.address
    assert wallet.address == address_of(ACCOUNT)
    assert "22222222" not in repr(wallet)
    assert ACCOUNT.address in repr(wallet)


async def test_no_wallet_signs_for_another_chain(tmp_path: Path) -> None:
    wallet = await KeystoreWallet.load(*write_keystore(tmp_path, ACCOUNT), CHAIN_ID)
    with pytest.raises(WalletError, match="not for 1"):
        await wallet.sign(transaction(chain_id=1))
    async with ExternalWallet(DEAD, address_of(ACCOUNT), CHAIN_ID, timeout_seconds=1) as external:
        with pytest.raises(WalletError, match="not for 1"):
            await external.sign(transaction(chain_id=1))


async def test_a_keystore_that_does_not_open(tmp_path: Path) -> None:
    keystore, password = write_keystore(tmp_path, ACCOUNT)
    password.write_text("wrong")
    with pytest.raises(AccountKeyError, match="does not open it"):
        await KeystoreWallet.load(keystore, password, CHAIN_ID)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": 8}, {"gas": 90_001}, {"maxFeePerGas": 31}, {"maxPriorityFeePerGas": 1}, {"value": 6},
        {"data": b"\x01"}, {"to": "0x" + "11" * 20}, {"chainId": 1},
    ],
)  # fmt: skip
def test_another_transaction_is_not_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(WalletError, match="another transaction"):
        require_same(signed(**changes), transaction())


def test_another_account_is_not_sent_from() -> None:
    with pytest.raises(WalletError, match=f"expected a signature of {ACCOUNT.address}"):
        require_same(signed(OTHER), transaction())


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", b"\xff" * 100])
def test_no_transaction_at_all(raw: bytes) -> None:
    with pytest.raises(WalletError, match="something else"):
        require_same(raw, transaction())


Answer = Callable[[dict[str, Any]], Any]


async def asked_at(answer: Answer) -> bytes:
    """What a signer signs that answers like this."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.json()
        assert body["method"] == "eth_signTransaction"
        return web.Response(text=json.dumps({"jsonrpc": "2.0", "id": body["id"]} | answer(body["params"][0])))

    async with (
        serving(handle) as url,
        ExternalWallet(
            f"{url}/secretpath", address_of(ACCOUNT), CHAIN_ID, timeout_seconds=ANSWER_SECONDS
        ) as wallet,
    ):
        return await wallet.sign(transaction())


def signs(params: dict[str, Any]) -> str:
    assert params["from"] == "0x" + address_of(ACCOUNT).hex()
    return "0x" + signed().hex()


@pytest.mark.parametrize(
    "shape", [lambda raw: raw, lambda raw: {"raw": raw, "tx": {}}], ids=["web3signer", "clef"]
)
async def test_a_signer_elsewhere(shape: Callable[[str], Any]) -> None:
    assert await asked_at(lambda params: {"result": shape(signs(params))}) == signed()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"error": {"code": -32000, "message": "denied"}}, "denied"),
        ({"result": "0x" + signed(OTHER).hex()}, "expected a signature"),
        ({"result": "0x" + signed(nonce=9).hex()}, "another transaction"),
        ({"result": "zz"}, "hex"),
        ({"result": None}, "expected a signed transaction"),
        ({"id": 99, "result": "0x"}, "another"),
        ({"result": "0x"}, "something else"),
    ],
)
async def test_a_signer_that_does_not(answer: dict[str, Any], says: str) -> None:
    with pytest.raises(WalletError, match=says) as caught:
        await asked_at(lambda _: answer)
    assert "secretpath" not in str(caught.value)


async def test_a_signer_that_is_away() -> None:
    async with ExternalWallet(DEAD, address_of(ACCOUNT), CHAIN_ID, timeout_seconds=1) as wallet:
        with pytest.raises(WalletError, match="signer: "):
            await wallet.sign(transaction())
