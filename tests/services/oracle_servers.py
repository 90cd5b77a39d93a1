"""Oracles on loopback: they sign what their request says, each by its own key, or whatever a test wants.

What they sign is put together here from the JSON that came, with eth-account's EIP-712.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from dvtfast import deposit_data_roots
from dvtfast.protocol_config import OracleConfig
from dvtfast.services.web.http import listening
from tests.vector_files import unhex

CHAIN_ID = 560048
KEEPER = "0xA7D1Ac9D6F32B404C75626874BA56f7654c1dC0f"
CHECKER = "0x033E5BaE5bdc459CBb7d388b41a9d62020Be810F"
NONCE = 7
CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
OTHER_CID = "QmYwAPJzv5CZsnA625s1Xr4Nd5mVh1ypZ9q6nqzYgYkX5a"
INFO = {"exit_signature_block_number": 123, "validators": [{"index": 9}, {"index": 2**63}]}

DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
APPROVAL = (
    "bytes32 validatorsRegistryRoot,address vault,bytes validators,"
    "string exitSignaturesIpfsHash,uint256 deadline"
)
ROTATION = "address vault,string exitSignaturesIpfsHash,uint256 nonce,uint256 deadline"
CONSOLIDATION = "address vault,bytes validators"

Answer = Callable[["FakeOracle", web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@dataclass
class FakeOracle:
    """One oracle; replicas answer with `answers` in their order, honestly where there is none.

    Attributes:
        asked: which replicas were, with their requests.
        consolidated: the `validators` of a consolidation, which its request does not have.
    """

    secret: bytes
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    consolidated: bytes = b""

    @property
    def address(self) -> bytes:
        return unhex(Account.from_key(self.secret).address)

    @property
    def public_key(self) -> bytes:
        return PrivateKey(self.secret).public_key.format(compressed=False)[1:]

    def sign(self, body: Mapping[str, Any], *, ipfs_hash: str = CID, deadline: int | None = None) -> bytes:
        """Over what the body asks for."""
        deadline = body.get("deadline") if deadline is None else deadline
        vault = body["vault_address"]
        if "validators_root" in body:
            root, validators = unhex(body["validators_root"]), validators_of(body)
            values = (root, vault, validators, ipfs_hash, deadline)
            return self._signature("KeeperOracles", KEEPER, "KeeperValidators", APPROVAL, values)
        if "deadline" in body:
            rotation = (vault, ipfs_hash, NONCE, deadline)
            return self._signature("KeeperOracles", KEEPER, "KeeperValidators", ROTATION, rotation)
        name = "ConsolidationsChecker"
        return self._signature(name, CHECKER, name, CONSOLIDATION, (vault, self.consolidated))

    def _signature(
        self, domain: str, contract: str, name: str, members: str, values: tuple[Any, ...]
    ) -> bytes:
        types = [dict(zip(("type", "name"), member.split(" "), strict=True)) for member in members.split(",")]
        message = encode_typed_data(
            full_message={
                "types": {"EIP712Domain": DOMAIN, name: types},
                "primaryType": name,
                "domain": {
                    "name": domain,
                    "version": "1",
                    "chainId": CHAIN_ID,
                    "verifyingContract": contract,
                },
                "message": {each["name"]: value for each, value in zip(types, values, strict=True)},
            }
        )
        return bytes(Account.sign_message(message, self.secret).signature)


def validators_of(body: Mapping[str, Any]) -> bytes:
    """What is registered, by the interface of the vault; only validators of type 0x02 have amounts."""
    keys, signatures = map(unhex_all, (body["public_keys"], body["deposit_signatures"]))
    vault = unhex(body["vault_address"])
    prefix = b"\x01" if body.get("amounts") is None else b"\x02"
    amounts = body.get("amounts") or [32 * 10**9] * len(keys)
    credentials = [prefix + bytes(11) + vault] * len(keys)
    roots = [root.tobytes() for root in deposit_data_roots(keys, credentials, amounts, signatures)]
    tails = [amount.to_bytes(8, "big") if prefix == b"\x02" else b"" for amount in amounts]
    return b"".join(b"".join(row) for row in zip(keys, signatures, roots, tails, strict=True))


def unhex_all(texts: list[str]) -> list[bytes]:
    return [unhex(text) for text in texts]


async def honest(oracle: FakeOracle, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    if request.method == "GET":
        return web.json_response(INFO)
    signature = "0x" + oracle.sign(body).hex()
    if "deadline" not in body:
        return web.json_response({"signature": signature})
    return web.json_response({"ipfs_hash": CID, "signature": signature, "deadline": body["deadline"]})


def saying(**changes: Any) -> Answer:
    """Sign another IPFS hash or deadline, and answer with it."""

    async def answer(oracle: FakeOracle, _: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        said = {"ipfs_hash": CID, "deadline": body["deadline"], **changes}
        signature = oracle.sign(body, **said)
        return web.json_response({**said, "signature": "0x" + signature.hex()})

    return answer


def answering(text: str | bytes, *, status: int = 200, **headers: str) -> Answer:
    async def answer(*_: Any) -> web.StreamResponse:
        body = text if isinstance(text, bytes) else text.encode()
        return web.Response(body=body, status=status, headers=headers)

    return answer


def signing(change: Callable[[bytes], bytes]) -> Answer:
    """The right answer with another signature."""

    async def answer(oracle: FakeOracle, _: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        signature = "0x" + change(oracle.sign(body)).hex()
        return web.json_response({"ipfs_hash": CID, "signature": signature, "deadline": body["deadline"]})

    return answer


async def slow(_: FakeOracle, request: web.Request, __: dict[str, Any]) -> web.StreamResponse:
    """A blank now and then, until nobody waits any more."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def endless(_: FakeOracle, request: web.Request, __: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


async def broken_off(_: FakeOracle, request: web.Request, __: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


def fake_oracles(count: int) -> list[FakeOracle]:
    """In the order of the config, which is not that of the addresses."""
    return [FakeOracle(bytes([i + 1]) * 32) for i in range(count)]


@asynccontextmanager
async def oracles_up(oracles: list[FakeOracle]) -> AsyncIterator[OracleConfig]:
    """Serve them all; yields their config."""

    async def handle(request: web.Request) -> web.StreamResponse:
        oracle, replica = (int(request.match_info[name]) for name in ("oracle", "replica"))
        body = json.loads(await request.read() or b"{}")
        fake = oracles[oracle]
        fake.asked.append((replica, request.match_info["rest"], body))
        return await (fake.answers[replica] if fake.answers else honest)(fake, request, body)

    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", r"/{oracle:\d+}/{replica:\d+}{rest:.*}", handle)
    async with listening(app, "127.0.0.1", 0) as port:
        yield OracleConfig(
            public_keys=np.frombuffer(b"".join(each.public_key for each in oracles), np.uint8).reshape(
                -1, 64
            ),
            endpoints=tuple(
                tuple(f"http://127.0.0.1:{port}/{i}/{j}/" for j in range(max(1, len(each.answers))))
                for i, each in enumerate(oracles)
            ),
            exit_signature_recover_threshold=1,
        )
