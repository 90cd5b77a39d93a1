"""A small validator client, as one of a cluster's node: it has key shares, takes them for whole keys, and
knows the node's API alone.

It does what clients in distributed mode do: it has its selection proofs aggregated, signs what it is told,
and hands in what it signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import numpy as np

from dvtfast import derive_public_keys, sign
from dvtfast.duties.aggregators import are_aggregators, are_sync_aggregators
from dvtfast.duties.attestations import AttestationData, SingleAttestation
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.presets import Preset
from dvtfast.duties.signables import contribution_and_proof, vote_of
from dvtfast.duties.signed_sets import NO_SIGNATURE, signed_set, with_signature
from dvtfast.duties.sync_committees import SyncCommitteeContribution, SyncCommitteeMessage
from dvtfast.duties.sync_committees import SyncCommitteeSelection as SyncSelection
from dvtfast.duties.validator_messages import BeaconCommitteeSelection, SignedRandao
from dvtfast.duties.wrappers import Versioned

JSON, SSZ = "application/json", "application/octet-stream"
ROOT = "0x" + "11" * 32


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(f"{status}: {content}")
        self.status, self.content = status, content


@dataclass
class ValidatorClient:
    """With one node's key shares.

    Attributes:
        ssz: whether it asks for SSZ, and sends it, where there is such.
        indices: on the chain, by row of the key shares; known after `start`.
    """

    url: str
    key_shares: np.ndarray
    schedule: ForkSchedule
    preset: Preset
    session: aiohttp.ClientSession
    ssz: bool = False
    indices: dict[int, int] = field(default_factory=dict)
    attesters: dict[int, list[dict[str, str]]] = field(default_factory=dict)
    proposers: dict[int, int] = field(default_factory=dict)
    seats: dict[int, set[int]] = field(default_factory=dict)
    proofs: dict[tuple[int, int], bytes] = field(default_factory=dict)
    sync_proofs: dict[tuple[int, int, int], bytes] = field(default_factory=dict)

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        more = {"Content-Type": JSON} if data is not None else {}
        async with self.session.request(
            method, self.url + path, data=data, headers=more | dict(headers or {})
        ) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise RefusedError(answer.status, msgspec.json.decode(content))
            return content, answer.headers

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        content, _ = await self.request(method, path, body)
        return msgspec.json.decode(content) if content else None

    async def start(self) -> None:
        """Find out the indices of its keys."""
        keys = {
            "0x" + key.tobytes().hex(): row for row, key in enumerate(derive_public_keys(self.key_shares))
        }
        answer = await self.ask("POST", "/eth/v1/beacon/states/head/validators", {"ids": list(keys)})
        self.indices = {keys[each["validator"]["pubkey"]]: int(each["index"]) for each in answer["data"]}
        self.rows = {index: row for row, index in self.indices.items()}

    async def learn(self, epoch: int) -> None:
        """The duties of an epoch."""
        body = [str(index) for index in self.rows]
        attesters = await self.ask("POST", f"/eth/v1/validator/duties/attester/{epoch}", body)
        by_slot: dict[int, list[dict[str, str]]] = {}
        for each in attesters["data"]:
            assert self._is_mine(each)
            by_slot.setdefault(int(each["slot"]), []).append(each)
        self.attesters |= by_slot
        proposers = await self.ask("GET", f"/eth/v1/validator/duties/proposer/{epoch}")
        self.proposers |= {
            int(each["slot"]): int(each["validator_index"])
            for each in proposers["data"]
            if self._is_mine(each)
        }
        members = await self.ask("POST", f"/eth/v1/validator/duties/sync/{epoch}", body)
        for each in members["data"]:
            assert self._is_mine(each)
            size = self.preset.sizes["SYNC_SUBCOMMITTEE_SIZE"]
            seats = {int(seat) // size for seat in each["validator_sync_committee_indices"]}
            self.seats[int(each["validator_index"])] = seats

    def sign(self, type: DutyType, indices: Sequence[int], values: Sequence[Any]) -> list[Any]:
        """Values with the signatures of these validators' key shares."""
        roots = signed_set(type, values, self.schedule, self.preset).signing_roots
        signatures = sign(self.key_shares[[self.rows[index] for index in indices]], roots)
        return [
            with_signature(value, signature.tobytes())
            for value, signature in zip(values, signatures, strict=True)
        ]

    # Blocks.

    async def propose(self, slot: int) -> None:
        """The block of a slot, if one of its validators has it."""
        if (index := self.proposers.get(slot)) is not None:
            await self.publish(await self.block(slot, index))

    async def block(self, slot: int, index: int) -> Versioned:
        """A block to sign, with this client's signature."""
        epoch = self.schedule.epoch_of(slot)
        [reveal] = self.sign(DutyType.RANDAO, [index], [SignedRandao(epoch, NO_SIGNATURE)])
        path = f"/eth/v3/validator/blocks/{slot}?randao_reveal=0x{reveal.signature.hex()}&graffiti={ROOT}"
        accept = {"Accept": f"{SSZ};q=0.95,{JSON};q=0.9" if self.ssz else JSON}
        content, headers = await self.request("GET", path, headers=accept)
        assert headers["Eth-Consensus-Version"] == "fulu"
        is_blinded = headers["Eth-Execution-Payload-Blinded"] == "true"
        kind: Any = codec(FULU.blinded_block if is_blinded else FULU.contents, self.preset)
        if self.ssz:
            contents = kind.decode(content)
        else:
            told = msgspec.json.decode(content)
            assert told["version"] == "fulu"
            assert told["execution_payload_blinded"] is is_blinded
            contents = kind.from_json(told["data"])
        if is_blinded:
            unsigned: Any = FULU.signed_blinded_block(contents, NO_SIGNATURE)
        else:
            signed = FULU.signed_block(contents.block, NO_SIGNATURE)
            unsigned = FULU.signed_contents(signed, contents.kzg_proofs, contents.blobs)
        [value] = self.sign(DutyType.PROPOSER, [index], [Versioned(FULU, unsigned, blinded=is_blinded)])
        return value

    async def publish(self, value: Versioned) -> None:
        kind: Any = codec(type(value.message), self.preset)
        path = "/eth/v2/beacon/blinded_blocks" if value.blinded else "/eth/v2/beacon/blocks"
        await self.send(path, kind, value.message)

    # Votes.

    async def votes(self, slot: int) -> list[SingleAttestation]:
        """The votes of its validators in a slot, signed."""
        duties = self.attesters.get(slot, [])
        data = await self.object(
            "/eth/v1/validator/attestation_data", AttestationData, slot=slot, committee_index=0
        )
        singles = [
            SingleAttestation(int(each["committee_index"]), int(each["validator_index"]), data, NO_SIGNATURE)
            for each in duties
        ]
        values = [vote_of(FULU, each, self.preset) for each in singles]
        signed = self.sign(DutyType.ATTESTER, [each.attester_index for each in singles], values)
        return [
            with_signature(each, value.message.signature) for each, value in zip(singles, signed, strict=True)
        ]

    async def attest(self, slot: int) -> None:
        if self.attesters.get(slot):
            await self.send("/eth/v2/beacon/pool/attestations", SingleAttestation, await self.votes(slot))

    async def select(self, slots: Sequence[int]) -> None:
        """Have the proofs of these slots aggregated, all in one request."""
        duties = [each for slot in slots for each in self.attesters.get(slot, [])]
        values = [
            BeaconCommitteeSelection(int(each["validator_index"]), int(each["slot"]), NO_SIGNATURE)
            for each in duties
        ]
        signed = self.sign(DutyType.PREPARE_AGGREGATOR, [each.validator_index for each in values], values)
        kind = codec(BeaconCommitteeSelection)
        body = [kind.to_json(each) for each in signed]
        answer = await self.ask("POST", "/eth/v1/validator/beacon_committee_selections", body)
        for each in map(kind.from_json, answer["data"]):
            self.proofs[each.slot, each.validator_index] = each.selection_proof

    async def aggregate(self, slot: int, data: AttestationData) -> list[Any]:
        """What those who are selected in a slot hand in, signed and sent."""
        root = codec(AttestationData).root(data)
        found: list[tuple[int, Any]] = []
        for each in self.attesters.get(slot, []):
            index = int(each["validator_index"])
            proof = np.frombuffer(self.proofs[slot, index], np.uint8).reshape(1, 96)
            if not are_aggregators(proof, [int(each["committee_length"])])[0]:
                continue
            aggregate = await self.object(
                "/eth/v2/validator/aggregate_attestation",
                FULU.attestation,
                slot=slot,
                attestation_data_root="0x" + root.hex(),
                committee_index=each["committee_index"],
            )
            message = FULU.aggregate_and_proof(index, aggregate, proof.tobytes())
            unsigned = FULU.signed_aggregate_and_proof(message, NO_SIGNATURE)
            found.append((index, Versioned(FULU, unsigned)))
        indices, values = [index for index, _ in found], [value for _, value in found]
        signed = [each.message for each in self.sign(DutyType.AGGREGATOR, indices, values)]
        await self.send("/eth/v2/validator/aggregate_and_proofs", FULU.signed_aggregate_and_proof, signed)
        return signed

    # Sync committee.

    async def head(self) -> bytes:
        answer = await self.ask("GET", "/eth/v1/beacon/blocks/head/root")
        return bytes.fromhex(answer["data"]["root"][2:])

    async def send_sync_messages(self, slot: int, root: bytes) -> None:
        indices = list(self.seats)
        values = [SyncCommitteeMessage(slot, root, index, NO_SIGNATURE) for index in indices]
        signed = self.sign(DutyType.SYNC_MESSAGE, indices, values)
        await self.send("/eth/v1/beacon/pool/sync_committees", SyncCommitteeMessage, signed)

    async def select_contributors(self, slot: int) -> None:
        values = [
            SyncSelection(index, slot, each, NO_SIGNATURE)
            for index, seats in self.seats.items()
            for each in sorted(seats)
        ]
        indices = [each.validator_index for each in values]
        signed = self.sign(DutyType.PREPARE_SYNC_CONTRIBUTION, indices, values)
        kind = codec(SyncSelection)
        body = [kind.to_json(each) for each in signed]
        answer = await self.ask("POST", "/eth/v1/validator/sync_committee_selections", body)
        found = list(map(kind.from_json, answer["data"]))
        assert [(each.validator_index, each.subcommittee_index) for each in found] == [
            (each.validator_index, each.subcommittee_index) for each in values
        ]
        for each in found:
            self.sync_proofs[slot, each.validator_index, each.subcommittee_index] = each.selection_proof

    async def contribute(self, slot: int, root: bytes) -> None:
        made = []
        for index, seats in self.seats.items():
            for subcommittee in sorted(seats):
                proof = self.sync_proofs[slot, index, subcommittee]
                row = np.frombuffer(proof, np.uint8).reshape(1, 96)
                if not are_sync_aggregators(row, self.preset)[0]:
                    continue
                contribution = await self.object(
                    "/eth/v1/validator/sync_committee_contribution",
                    SyncCommitteeContribution,
                    slot=slot,
                    subcommittee_index=subcommittee,
                    beacon_block_root="0x" + root.hex(),
                )
                made.append((index, contribution_and_proof(contribution, index, proof)))
        signed = self.sign(
            DutyType.SYNC_CONTRIBUTION, [index for index, _ in made], [value for _, value in made]
        )
        await self.send("/eth/v1/validator/contribution_and_proofs", type(made[0][1]), signed)

    # Objects.

    async def object(self, path: str, kind: type[Any], **query: Any) -> Any:
        """An object, in the client's encoding."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        accept = {"Accept": SSZ if self.ssz else JSON}
        content, headers = await self.request("GET", f"{path}?{asked}", headers=accept)
        assert headers["Content-Type"].startswith(SSZ if self.ssz else JSON)
        of = codec(kind, self.preset)
        return of.decode(content) if self.ssz else of.from_json(msgspec.json.decode(content)["data"])

    async def send(self, path: str, kind: Any, values: Any) -> None:
        """A list, or one object, in the client's encoding."""
        of = codec(kind, self.preset) if isinstance(kind, type) else kind
        headers = {"Eth-Consensus-Version": "fulu"}
        if not isinstance(values, list):
            body: Any = of.encode(values) if self.ssz else of.to_json(values)
        elif not self.ssz:
            body = [of.to_json(each) for each in values]
        else:
            parts = [of.encode(each) for each in values]
            starts = np.cumsum([4 * len(parts), *map(len, parts)])[:-1]
            offsets = b"" if of.width else b"".join(int(at).to_bytes(4, "little") for at in starts)
            body = offsets + b"".join(parts)
        if self.ssz:
            headers["Content-Type"] = SSZ
        await self.request("POST", path, body, headers)

    def _is_mine(self, duty: Mapping[str, str]) -> bool:
        row = self.rows.get(int(duty["validator_index"]))
        return row is not None and duty["pubkey"] == self.public_keys[row]

    @property
    def public_keys(self) -> list[str]:
        return ["0x" + key.tobytes().hex() for key in derive_public_keys(self.key_shares)]
