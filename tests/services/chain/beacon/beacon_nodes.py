"""A beacon node on loopback that has a state: validators, and deposits that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from aiohttp import web

from dvtfast import HOODI, Network
from dvtfast.services.chain import clock
from tests.services.chain.deposits.deposit_events import Deposit
from tests.services.chain.servers import Handler, serving


@dataclass
class BeaconState:
    """What a node says. Validators beyond those with a key have one that nobody asks for."""

    count: int = 0
    keys: dict[bytes, int] = field(default_factory=dict)  # to indices
    pending: list[Deposit] = field(default_factory=list)
    block_number: int = 0
    block_hash: bytes = bytes(32)
    age_slots: int = 0
    is_optimistic: bool = False
    network: Network = HOODI
    without: frozenset[str] = frozenset()  # routes that it lacks, by a part of the path
    without_post: bool = False
    requests: list[str] = field(default_factory=list)
    largest_answer: int = 0

    @property
    def state_root(self) -> bytes:
        """Another one for each state."""
        return sha256(repr((self.count, self.keys, self.pending)).encode()).digest()

    async def handle(self, request: web.Request) -> web.Response:
        if any(part in request.path for part in self.without):
            return web.json_response({"code": 404, "message": "NOT_FOUND"}, status=404)
        if (data := identity(request.path, self.network)) is not None:
            return web.json_response({"data": data})
        self.requests.append(request.path)
        states = "/eth/v1/beacon/states/0x" + self.state_root.hex()
        validators = (
            states + "/validators",
            "/eth/v1/beacon/states/head/validators",
            "/eth/v1/beacon/states/finalized/validators",
        )
        match request.method, request.path:
            case "GET", "/eth/v1/beacon/blinded_blocks/head":
                data = self._head()
            case "GET", "/eth/v2/beacon/blocks/head":
                data = self._head()
                body = data["message"]["body"]
                body["execution_payload"] = body.pop("execution_payload_header") | {"transactions": ["0x"]}
            case "GET", path if path == states + "/pending_deposits":
                data = [self._deposit(deposit) for deposit in self.pending]
            case "POST", path if path in validators and self.without_post:
                return web.json_response({"code": 405, "message": "METHOD_NOT_ALLOWED"}, status=405)
            case ("POST" | "GET") as method, path if path in validators:
                ids = (await request.json())["ids"] if method == "POST" else request.query["id"].split(",")
                assert len(ids) <= (100 if method == "POST" else 64), "the API's limits"
                assert len(request.path_qs) < 4096, "some servers take no longer address"
                data = [found for each in ids if (found := self._validator(each))]
                self.largest_answer = max(self.largest_answer, len(data))
            case _:
                return web.json_response({"code": 404, "message": "NOT_FOUND"}, status=404)
        return web.json_response(
            {"execution_optimistic": self.is_optimistic, "finalized": False, "data": data}
        )

    def _head(self) -> dict[str, Any]:
        slot = int(clock.now_seconds() - HOODI.genesis_time) // HOODI.seconds_per_slot - self.age_slots
        payload = {"block_number": str(self.block_number), "block_hash": "0x" + self.block_hash.hex()}
        body = {"randao_reveal": "0x", "execution_payload_header": payload}
        message = {"slot": str(slot), "state_root": "0x" + self.state_root.hex(), "body": body}
        return {"message": message, "signature": "0x"}

    @staticmethod
    def _deposit(deposit: Deposit) -> dict[str, str]:
        return {
            "pubkey": "0x" + deposit.public_key.hex(),
            "withdrawal_credentials": "0x" + deposit.withdrawal_credentials.hex(),
            "amount": str(deposit.amount_gwei),
            "signature": "0x" + deposit.signature.hex(),
            "slot": "12",
        }

    def _validator(self, text: str) -> dict[str, Any] | None:
        if text.startswith("0x"):
            key = bytes.fromhex(text[2:])
            index = self.keys.get(key)
        else:
            index = int(text)
            assert index < 2**31, "some nodes take no higher one"
            key = index.to_bytes(48, "big")
        if index is None or index >= self.count:
            return None
        return {"index": str(index), "status": "active_ongoing", "validator": {"pubkey": "0x" + key.hex()}}


def identity(path: str, network: Network) -> Any:
    """What a node on a network answers about it; None for what is asked elsewhere."""
    match path:
        case "/eth/v1/beacon/genesis":
            return {
                "genesis_time": str(network.genesis_time),
                "genesis_validators_root": "0x" + network.genesis_validators_root.hex(),
                "genesis_fork_version": "0x" + network.genesis_fork_version.hex(),
            }
        case "/eth/v1/config/deposit_contract":
            return {"chain_id": str(network.chain_id), "address": network.deposit_contract}
        case "/eth/v1/config/spec":
            return {
                "SECONDS_PER_SLOT": str(network.seconds_per_slot),
                "DEPOSIT_CHAIN_ID": str(network.chain_id),
                "DEPOSIT_CONTRACT_ADDRESS": network.deposit_contract,
            }
    return None


def of_network(handle: Handler, network: Network = HOODI) -> Handler:
    """A node on a network that answers all else by `handle`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        data = identity(request.path, network)
        return await handle(request) if data is None else web.json_response({"data": data})

    return answer


@asynccontextmanager
async def beacon_with(state: BeaconState) -> AsyncIterator[str]:
    """The address of a node with this state, which may change."""
    async with serving(state.handle) as url:
        yield url
