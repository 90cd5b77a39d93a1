"""A beacon node on the chain of charon's mock, for a node that is no charon: it serves the beacon API.

The root of the head is asked for from a charon: it is another one in each slot, the same for all of them.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from dvtfast.services.demo.beacon.encoding import from_json, to_json
from tests.services.node.beside_charon.charons_chain import (
    COMMITTEE_LENGTH,
    FAR_FUTURE,
    PLACE,
    SLOTS_PER_EPOCH,
    CharonsChain,
    RefusedError,
    capella,
    spec,
)

NO_ROOT = f"0x{bytes(32).hex()}"
SSZ = "application/octet-stream"
ADDRESS_LETTERS = 42
SETTLING_SECONDS = 0.2


class CharonsBeacon:
    """What it serves, and what became of what was sent.

    Attributes:
        accepted: how many of each kind, by slot.
        refused: why, of each kind.
        fee_recipients: by validator index.
        url: where it listens.
        charons: URLs of validator APIs of charons, of which one that runs is asked for the head.
    """

    def __init__(self, chain: CharonsChain) -> None:
        self.chain = chain
        self.accepted: dict[str, Counter[int]] = {}
        self.refused: list[tuple[str, str]] = []
        self.fee_recipients: dict[int, str] = {}
        self.url = ""
        self.charons: list[str] = []
        self._heads: dict[int, bytes] = {}

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[None]:
        """Serve, inside the block."""
        app = web.Application(client_max_size=16 * 1024**2)
        app.add_routes([web.get(path, handler) for path, handler in self._gets().items()])
        app.add_routes([web.post(path, handler) for path, handler in self._posts().items()])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()

    def count(self, kind: str) -> int:
        """How much of a kind was taken, each once."""
        return len(self.accepted.get(kind, ()))

    async def head(self) -> bytes:
        """The root of the head, as charons have it; a moment after a slot began they all have its own."""
        slot = self.chain.slot
        if slot in self._heads:
            return self._heads[slot]
        root = await self._asked_head()
        if self.chain.slot == slot and self.chain.seconds_since(slot) > SETTLING_SECONDS:
            self._heads[slot] = root
        return root

    async def _asked_head(self) -> bytes:
        async with aiohttp.ClientSession() as session:
            for url in self.charons:
                try:
                    async with session.get(f"{url}/eth/v1/beacon/blocks/head/root") as answer:
                        told = await answer.json(content_type=None)
                except aiohttp.ClientError:
                    continue
                return bytes.fromhex(told["data"]["root"][2:])
        raise web.HTTPServiceUnavailable

    def _gets(self) -> dict[str, Any]:
        network = self.chain.network
        constants_of_network = network.spec(self.chain.seconds_per_slot)
        constants = {
            "/eth/v1/beacon/genesis": {
                "genesis_time": str(network.genesis_time),
                "genesis_validators_root": f"0x{network.genesis_validators_root.hex()}",
                "genesis_fork_version": f"0x{network.fork_version}",
            },
            "/eth/v1/config/spec": constants_of_network,
            "/eth/v1/config/fork_schedule": [
                {"previous_version": f"0x{before}", "current_version": f"0x{version}", "epoch": str(epoch)}
                for (_, epoch, version), (_, _, before) in zip(
                    network.forks, [network.forks[0], *network.forks], strict=False
                )
            ],
            "/eth/v1/config/deposit_contract": {
                "chain_id": constants_of_network["DEPOSIT_CHAIN_ID"],
                "address": constants_of_network["DEPOSIT_CONTRACT_ADDRESS"],
            },
            "/eth/v1/node/version": {"version": "charons-beacon"},
            "/eth/v1/node/peer_count": {"connected": "1"},
        }

        def telling(data: Any) -> Any:
            async def tell(_: web.Request) -> web.Response:
                return web.json_response({"data": data})

            return tell

        return {path: telling(data) for path, data in constants.items()} | {
            "/eth/v1/node/syncing": self._syncing,
            "/eth/v1/beacon/states/{state}/validators": self._validators,
            "/eth/v1/beacon/blocks/head/root": self._head_root,
            "/eth/v1/validator/duties/proposer/{epoch}": self._proposers,
            "/eth/v1/validator/attestation_data": self._attestation_data,
            "/eth/v2/validator/aggregate_attestation": self._aggregate,
            "/eth/v1/validator/sync_committee_contribution": self._contribution,
            "/eth/v3/validator/blocks/{slot}": self._block,
            "/eth/v1/events": self._events,
        }

    def _posts(self) -> dict[str, Any]:
        chain = self.chain
        return {
            "/eth/v1/beacon/states/{state}/validators": self._validators,
            "/eth/v1/validator/duties/attester/{epoch}": self._attesters,
            "/eth/v1/validator/duties/sync/{epoch}": self._members,
            "/eth/v1/validator/beacon_committee_subscriptions": self._nothing,
            "/eth/v1/validator/sync_committee_subscriptions": self._nothing,
            "/eth/v1/validator/prepare_beacon_proposer": self._fees,
            "/eth/v1/validator/register_validator": self._nothing,
            "/eth/v2/beacon/blocks": self._published,
            "/eth/v2/beacon/pool/attestations": self._taking(
                "attester", spec.SingleAttestation, chain.check_attestation, version="fulu"
            ),
            "/eth/v2/validator/aggregate_and_proofs": self._taking(
                "aggregator", spec.SignedAggregateAndProof, chain.check_aggregate, version="fulu"
            ),
            "/eth/v1/beacon/pool/sync_committees": self._sync_messages,
            "/eth/v1/validator/contribution_and_proofs": self._taking(
                "sync_contribution", spec.SignedContributionAndProof, chain.check_contribution
            ),
        }

    # What is asked for.

    async def _syncing(self, _: web.Request) -> web.Response:
        facts = {
            "head_slot": str(self.chain.slot),
            "sync_distance": "0",
            "is_syncing": False,
            "is_optimistic": False,
            "el_offline": False,
        }
        return web.json_response({"data": facts})

    async def _validators(self, request: web.Request) -> web.Response:
        wanted = {each.lower() for value in request.query.getall("id", ()) for each in value.split(",")}
        if request.body_exists:
            wanted |= {str(each).lower() for each in (await request.json()).get("ids") or ()}
        found = []
        for index, key in enumerate(self.chain.public_keys):
            if wanted and not {str(index), f"0x{key.hex()}"} & wanted:
                continue
            found.append(
                {
                    "index": str(index),
                    "balance": "31300000000",
                    "status": "active_ongoing",
                    "validator": {
                        "pubkey": f"0x{key.hex()}",
                        "withdrawal_credentials": f"0x{bytes(32).hex()}",
                        "effective_balance": "31000000000",
                        "slashed": False,
                        "activation_eligibility_epoch": "0",
                        "activation_epoch": "0",
                        "exit_epoch": FAR_FUTURE,
                        "withdrawable_epoch": FAR_FUTURE,
                    },
                }
            )
        return web.json_response({"execution_optimistic": False, "finalized": False, "data": found})

    async def _attesters(self, request: web.Request) -> web.Response:
        epoch = int(request.match_info["epoch"])
        duties = [
            {
                **self._validator(index),
                "slot": str(self.chain.attester_slot(epoch, index)),
                "committee_index": str(index),
                "committee_length": str(COMMITTEE_LENGTH),
                "committees_at_slot": str(SLOTS_PER_EPOCH),
                "validator_committee_index": str(PLACE),
            }
            for index in map(int, await request.json())
        ]
        return _duties(duties)

    async def _proposers(self, request: web.Request) -> web.Response:
        found = self.chain.proposers(int(request.match_info["epoch"]))
        return _duties([{**self._validator(index), "slot": str(slot)} for slot, index in found.items()])

    async def _members(self, request: web.Request) -> web.Response:
        indices = list(map(int, await request.json()))
        if not self.chain.in_sync_committee(int(request.match_info["epoch"])):
            indices = []
        return _duties(
            [{**self._validator(i), "validator_sync_committee_indices": [str(i)]} for i in indices]
        )

    async def _attestation_data(self, request: web.Request) -> web.Response:
        return web.json_response({"data": to_json(self.chain.attestation_data(int(request.query["slot"])))})

    async def _aggregate(self, request: web.Request) -> web.Response:
        found = self.chain.aggregate(int(request.query["slot"]))
        if f"0x{bytes(found.data.hash_tree_root()).hex()}" != request.query["attestation_data_root"]:
            return _error("no such data", status=404)
        return web.json_response({"version": "fulu", "data": to_json(found)})

    async def _contribution(self, request: web.Request) -> web.Response:
        query = request.query
        root = bytes.fromhex(query["beacon_block_root"][2:])
        found = self.chain.contribution(int(query["slot"]), int(query["subcommittee_index"]), root)
        return web.json_response({"data": to_json(found)})

    async def _block(self, request: web.Request) -> web.Response:
        randao, graffiti = (bytes.fromhex(request.query[name][2:]) for name in ("randao_reveal", "graffiti"))
        try:
            block = self.chain.block(int(request.match_info["slot"]), randao, graffiti)
        except RefusedError as error:
            return self._refuse("proposer", error)
        headers = {"Eth-Consensus-Version": "capella", "Eth-Execution-Payload-Blinded": "false"}
        return web.Response(body=block.encode_bytes(), headers=headers, content_type=SSZ)

    async def _head_root(self, _: web.Request) -> web.Response:
        return web.json_response({"data": {"root": f"0x{(await self.head()).hex()}"}})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await asyncio.sleep(SETTLING_SECONDS)
            slot = self.chain.slot
            head = {"slot": str(slot), "block": f"0x{(await self.head()).hex()}", "state": NO_ROOT}
            roots = dict.fromkeys(("current_duty_dependent_root", "previous_duty_dependent_root"), NO_ROOT)
            await response.write(f"event: head\ndata: {json.dumps(head | roots)}\n\n".encode())
            await asyncio.sleep(self.chain.seconds_until(slot + 1))

    # What is sent.

    def _taking(
        self, kind: str, container: Any, check: Callable[[Any], int], *, version: str = ""
    ) -> Callable[[web.Request], Any]:
        async def take(request: web.Request) -> web.Response:
            if request.headers.get("Eth-Consensus-Version", "") != version:
                return self._refuse(kind, RefusedError("another version"))
            try:
                for each in await request.json():
                    self._accept(kind, check(from_json(container, each)))
            except (RefusedError, ValueError) as error:
                return self._refuse(kind, error)
            return web.Response()

        return take

    async def _sync_messages(self, request: web.Request) -> web.Response:
        head = await self.head()
        heads = {head, self._heads.get(self.chain.slot - 1, head)}  # of a message that is late

        def check(message: Any) -> int:
            root = bytes(message.beacon_block_root)
            return self.chain.check_sync_message(message, root if root in heads else head)

        taking = self._taking("sync_message", spec.SyncCommitteeMessage, check)
        answer: web.Response = await taking(request)
        return answer

    async def _published(self, request: web.Request) -> web.Response:
        try:
            if request.headers.get("Eth-Consensus-Version") != "capella":
                raise RefusedError("another version")
            data = await request.read()
            if request.content_type == SSZ:
                signed = capella.SignedBeaconBlock.decode_bytes(data)
            else:
                signed = from_json(capella.SignedBeaconBlock, json.loads(data))
            self._accept("proposer", self.chain.check_block(signed))
        except (RefusedError, ValueError) as error:
            return self._refuse("proposer", error)
        return web.Response()

    async def _fees(self, request: web.Request) -> web.Response:
        for each in await request.json():
            if len(each["fee_recipient"]) != ADDRESS_LETTERS:
                return self._refuse("fees", RefusedError("no address"))
            self.fee_recipients[int(each["validator_index"])] = each["fee_recipient"]
        return web.Response()

    async def _nothing(self, request: web.Request) -> web.Response:
        assert isinstance(await request.json(), list)
        return web.Response()

    def _accept(self, kind: str, slot: int) -> None:
        self.accepted.setdefault(kind, Counter())[slot] += 1

    def _refuse(self, kind: str, error: Exception) -> web.Response:
        self.refused.append((kind, str(error)))
        return _error(str(error))

    def _validator(self, index: int) -> dict[str, str]:
        return {"pubkey": f"0x{self.chain.public_keys[index].hex()}", "validator_index": str(index)}


def _duties(found: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"dependent_root": NO_ROOT, "execution_optimistic": False, "data": found})


def _error(message: str, *, status: int = 400) -> web.Response:
    return web.json_response({"code": status, "message": message}, status=status)
