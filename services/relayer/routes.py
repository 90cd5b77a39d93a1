"""The routes of the relayer: read the request, ask the store, write the answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from time import time
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from dvtfast import check_public_keys, check_signature_encodings

from .. import wire
from ..chain.index_source import NextIndex
from ..web.http import json_answer, read_body, send_pieces
from .access.caller import Caller, caller_of
from .access.limits import Rates
from .access.vaults import NOT_YOUR_CLUSTER
from .clusters.served import Group
from .listing import LONGEST_WAIT_SECONDS, Listing, Listings
from .manager.signer import Manager
from .metrics import Outcomes
from .parts import RelayerParts
from .registrations import ASKED_ELSEWHERE, PENDING_SECONDS, VaultRegistrations, refusal, too_many_moves
from .store.nodes.announced_shares import claim_to_bytes
from .store.nodes.missing_shares import ready_in_front
from .store.nodes.partial_signatures import STORED, OfferedShare, add_shares
from .store.operators.asked_validators import known_keys
from .store.operators.handouts import AskedValidator
from .store.operators.index_assignment import IndexRefusedError, IndexRule, ask_for
from .store.operators.moves import TooManyMovesError
from .store.operators.ownership import AskedByOthersError, RegisteredError, ReservedError
from .store.operators.pending import Asker, TooManyPendingError
from .store.subjects import Exit
from .store.tables import MessageKind

REFUSED_A_SECOND, REFUSED_AT_ONCE = 1 / 30, 50  # manager signatures of one caller; each is on record
LISTINGS_A_SECOND, LISTINGS_AT_ONCE = 1.0, 16  # that have to be made for one caller; fewer than are kept
PIECE_VALIDATORS = 250  # in one piece of an answer; with eleven oracles 1.4 MB
READY_LOOK_SECONDS = 0.2  # between two looks at the exits that an operator waits for

NOT_SERVED = "no cluster of this relayer has this validator"
RESERVED = "reserved for a vault, whose operator registers it with POST /register"
REGISTERED = "has a deposit already, so the next validator index is not its own"
NO_MANAGER = "this relayer signs for no vault; it has no --manager-keystore"
KEYS = "public_keys[{}]"
NO_POINT = "not a point of the curve that could be one"

T = TypeVar("T", bound=msgspec.Struct)
S = TypeVar("S", wire.ExitShare, wire.SignatureShares)
Offer = Callable[[S, int | None], OfferedShare]
"""Makes a share for the store of an item and its cluster's limit."""


class Routes:
    """What the handlers share."""

    def __init__(
        self, parts: RelayerParts, registering: VaultRegistrations, next_index: NextIndex | None
    ) -> None:
        self._parts = parts
        self._database, self._workers, self._clusters = parts.database, parts.workers, parts.clusters
        self._registering = registering
        self._next_index = next_index
        self._gzips = not parts.settings.no_gzip
        self._listings = Listings(parts.database, parts.workers, parts.clusters)
        self._new_listings = Rates(LISTINGS_A_SECOND, at_once=LISTINGS_AT_ONCE)
        self._unsigned = Rates(REFUSED_A_SECOND, at_once=REFUSED_AT_ONCE)
        self._stopping = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Serve all routes."""
        app.on_shutdown.append(self._stop_waiting)
        app.router.add_get("/info", self._get_info)
        app.router.add_get("/exits", self._get_exits)
        app.router.add_post("/validators", self._post_validators)
        app.router.add_post("/exit-signature", self._post_exit_signature)
        app.router.add_get("/validators", self._get_validators)
        app.router.add_post("/signatures", self._post_signatures)
        app.router.add_post("/register", self._post_register)
        app.router.add_post("/rotate", self._post_rotate)
        app.router.add_post("/fund", self._post_fund)
        app.router.add_post("/withdraw", self._post_withdraw)
        app.router.add_post("/consolidate", self._post_consolidate)

    async def _get_info(self, _: web.Request) -> web.Response:
        address = self._parts.manager.address if self._parts.manager else None
        return json_answer(wire.InfoAnswer(self._parts.settings.network.name, address))

    async def _get_exits(self, request: web.Request) -> web.Response:
        window = request.query.get("window") == "1"
        visible, may_make = self._visible(request), partial(self._may_make_listing, caller_of(request))
        return await self._poll(request, self._listings.exits(*visible, window=window, may_make=may_make))

    async def _get_validators(self, request: web.Request) -> web.Response:
        visible, may_make = self._visible(request), partial(self._may_make_listing, caller_of(request))
        return await self._poll(request, self._listings.deposits(*visible, may_make=may_make))

    def _may_make_listing(self, caller: Caller) -> None:
        """Refuse who asks for one share index after the other: each costs a look at all validators."""
        if not caller.is_limited:
            return
        if seconds := self._new_listings.seconds_until(caller.name):
            reason = "too many different ones; slow down"
            raise wire.TooManyError("share_index", reason, retry_after_seconds=seconds)
        self._new_listings.take(caller.name)

    def _visible(self, request: web.Request) -> tuple[frozenset[Group] | None, int | None]:
        """The groups that the caller may see, and the share index that it asks for."""
        caller, share_index = caller_of(request), _share_index(request)
        if share_index is not None:
            caller.require_share_index(share_index)
            if not self._clusters.has_node(share_index):
                raise wire.WireError("share_index", f"no cluster of this relayer has {share_index}")
        return caller.groups_at(share_index), share_index

    async def _poll(self, request: web.Request, listing: Listing[Any]) -> web.Response:
        """The listing; with `wait`, as soon as it is not what the request knows."""
        answer = await listing.answer_after(
            lambda answer: answer.is_known_to(request), _wait_seconds(request)
        )
        return await answer.respond(request, self._workers, gzips=self._gzips)

    async def _stop_waiting(self, _: web.Application) -> None:
        self._stopping.set()
        self._listings.stop_waiting()

    async def _post_validators(self, request: web.Request) -> web.StreamResponse:
        wanted = await self._decoded(request, wire.ValidatorsRequest)
        if not wanted.public_keys:
            raise wire.WireError("public_keys", "expected at least one")
        seconds, caller = _wait_seconds(request), caller_of(request)
        await self._require_served(wanted.public_keys, caller)
        if seconds:
            await self._ask_for(wanted, caller.asker, may_hand_out=False)
            await self._until_ready(wanted.public_keys, seconds)
        asked = await self._ask_for(wanted, caller.asker)
        return await self._validators(request, asked, start_index=wanted.validators_start_index)

    async def _ask_for(
        self, wanted: wire.ValidatorsRequest, asker: Asker, *, may_hand_out: bool = True
    ) -> list[AskedValidator]:
        next_index, used = None, set[bytes]()
        if wanted.validators_start_index is None and self._next_index is not None:
            # In this order: whose deposit arrives meanwhile keeps its index.
            next_index = await self._next_index.next_index()
            used = await self._next_index.used(wanted.public_keys)
        try:
            asked = await self._database.run(
                ask_for,
                wanted.public_keys,
                IndexRule(wanted.validators_start_index, next_index, used, self._parts.settings.start_index),
                may_hand_out=may_hand_out,
                asker=asker,
                window=self._parts.settings.index_window,
                config_digest=self._parts.oracles.digest,
                now=int(time()),
            )
        except IndexRefusedError as error:
            raise wire.WireError("validators_start_index", str(error)) from None
        except ReservedError as error:
            raise refusal(KEYS, wanted.public_keys, error.public_keys, RESERVED) from None
        except RegisteredError as error:
            raise refusal(KEYS, wanted.public_keys, error.public_keys, REGISTERED) from None
        except AskedByOthersError as error:
            raise refusal(KEYS, wanted.public_keys, error.public_keys, ASKED_ELSEWHERE) from None
        except TooManyPendingError as error:
            raise wire.TooManyError("public_keys", str(error), retry_after_seconds=PENDING_SECONDS) from None
        except TooManyMovesError as error:
            raise too_many_moves("validators_start_index", error) from None
        self._parts.pipeline.wake()  # an exit that is asked for again may have its shares already
        return asked

    async def _until_ready(self, public_keys: Sequence[bytes], seconds: float) -> None:
        """Wait until these exits are split for the oracles, the time is over, or the relayer is stopped."""
        not_ready = public_keys
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._stopping.is_set():
                    revision, ready = await self._database.read(
                        ready_in_front, not_ready, self._parts.oracles.digest
                    )
                    not_ready = not_ready[ready:]
                    if not not_ready:
                        break
                    await self._unless_stopping(self._database.wait_for_change(revision, seconds))
                    await self._unless_stopping(asyncio.sleep(READY_LOOK_SECONDS))

    async def _unless_stopping(self, wait: Coroutine[None, None, None]) -> None:
        """Wait for something, but no longer than the relayer runs."""
        tasks = asyncio.create_task(wait), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _validators(
        self, request: web.Request, asked: Sequence[AskedValidator], *, start_index: int | None = None
    ) -> web.StreamResponse:
        """The answer about these validators; a long one is made and sent in pieces."""
        pieces = _validators_answer(asked, start_index)
        if len(pieces) == 1 and not self._gzips:
            return json_answer(await self._workers.run(pieces[0]))
        return await send_pieces(request, pieces, self._workers, gzips=self._gzips)

    async def _post_register(self, request: web.Request) -> web.Response:
        wanted = await self._decoded(request, wire.RegisterRequest)
        registered = await self._registering.register(wanted, caller_of(request))
        return json_answer(await self._workers.run(self._registering.encoded, registered))

    async def _post_rotate(self, request: web.Request) -> web.StreamResponse:
        wanted = await self._decoded(request, wire.RotateRequest)
        return await self._validators(request, await self._registering.rotate(wanted, caller_of(request)))

    async def _post_fund(self, request: web.Request) -> web.Response:
        wanted = await self._decoded(request, wire.FundRequest)
        async with self._managing(request, wanted.vault, {KEYS: wanted.public_keys}) as manager:
            return _signed(await manager.fund(wanted.vault, wanted.public_keys, wanted.amounts))

    async def _post_withdraw(self, request: web.Request) -> web.Response:
        wanted = await self._decoded(request, wire.WithdrawRequest)
        async with self._managing(request, wanted.vault, {KEYS: wanted.public_keys}) as manager:
            return _signed(await manager.withdraw(wanted.vault, wanted.public_keys, wanted.amounts))

    async def _post_consolidate(self, request: web.Request) -> web.Response:
        wanted = await self._decoded(request, wire.ConsolidateRequest)
        sources, targets = wanted.source_public_keys, wanted.target_public_keys
        keys = {"source_public_keys[{}]": sources, "target_public_keys[{}]": targets}
        async with self._managing(request, wanted.vault, keys) as manager:
            return _signed(await manager.consolidate(wanted.vault, sources, targets))

    @asynccontextmanager
    async def _managing(
        self, request: web.Request, vault: bytes, keys: Mapping[str, Sequence[bytes]]
    ) -> AsyncIterator[Manager]:
        """Have the manager sign for a caller, who has only so many tries: each stays on record for ever."""
        caller = caller_of(request)
        caller.require_vault(vault)
        if self._parts.manager is None:
            raise wire.WireError("", NO_MANAGER)
        self._parts.vaults.require_keys(vault, caller, keys)
        if seconds := self._unsigned.seconds_until(caller.name):
            raise wire.TooManyError("", "too many refused signatures", retry_after_seconds=seconds)
        self._unsigned.take(caller.name)
        yield self._parts.manager
        self._unsigned.take(caller.name, -1)  # signed, for which there are limits a day

    async def _decoded(self, request: web.Request, kind: type[T]) -> T:
        return await self._workers.run(wire.decode_request, await read_body(request), kind)

    async def _post_exit_signature(self, request: web.Request) -> web.Response:
        return await self._store(request, wire.ExitShare, {"exit_signature": _exit_share})

    async def _post_signatures(self, request: web.Request) -> web.Response:
        offers = {"exit_signature": _exit_share, "deposit_signature": _deposit_share}
        return await self._store(request, wire.SignatureShares, offers)

    async def _store(
        self, request: web.Request, kind: type[S], offers: Mapping[str, Offer[S]]
    ) -> web.Response:
        """Read the shares of a body and store what its fields offer."""
        body = await read_body(request)
        received, offered = await self._workers.run(self._received, body, kind, offers, caller_of(request))
        reasons = await self._database.run(
            add_shares,
            received.share_index,
            offered,
            threshold_of=self._clusters.threshold_of,
            now=int(time()),
        )
        self._parts.pipeline.wake_for_shares()
        answer, outcomes = await self._workers.run(self._shares_answer, received, offered, reasons)
        self._parts.metrics.received(received.share_index, outcomes, len(received.rejected))
        return json_answer(answer)

    def _received(
        self, body: bytes, kind: type[S], offers: Mapping[str, Offer[S]], caller: Caller
    ) -> tuple[wire.ReceivedShares[S], list[OfferedShare]]:
        received = _read_shares(body, kind, list(offers), caller)
        groups = caller.groups_at(received.share_index)
        offered = [s for offer in offers.values() for s in self._offered(received, offer, groups)]
        if (
            groups is not None
            and not offered
            and any(r.reason == NOT_YOUR_CLUSTER for r in received.rejected)
        ):
            raise wire.ForbiddenError("shares", NOT_YOUR_CLUSTER, received.rejected)
        return received, offered

    def _offered(
        self, received: wire.ReceivedShares[S], offer: Offer[S], groups: frozenset[Group] | None
    ) -> list[OfferedShare]:
        """The shares that their validators' clusters may have, of these groups; the others are rejected."""
        offered = []
        for position, share in list(received.shares.items()):
            group = self._clusters.group_of(share.public_key)
            if group is None:
                reason = NOT_SERVED
            elif groups is not None and group not in groups:
                reason = NOT_YOUR_CLUSTER
            elif not group.has(received.share_index):
                reason = f"share index {received.share_index} is not one of the cluster {group.name!r}"
            else:
                taken = offer(share, group.share_limit)
                if not group.knows_key_shares:
                    taken = replace(taken, key_shares=_claim_of(received.share_index, share))
                offered.append(taken)
                continue
            del received.shares[position]
            received.rejected.append(wire.Rejected(share.public_key.to_wire(), reason))
        return offered

    def _shares_answer(
        self, received: wire.ReceivedShares[Any], offered: Sequence[OfferedShare], reasons: Sequence[str]
    ) -> tuple[bytes, Outcomes]:
        """The answer, and how many shares of which cluster were stored or not."""
        rejected = [
            wire.Rejected(wire.PublicKey(share.public_key).to_wire(), reason)
            for share, reason in zip(offered, reasons, strict=True)
            if reason != STORED
        ]
        groups = (self._clusters.group_of(share.public_key) for share in offered)
        names = ("" if group is None else group.name for group in groups)
        outcomes = Counter(zip(names, (reason == STORED for reason in reasons), strict=True))
        return wire.encode(wire.ExitSignatureAnswer(received.rejected + rejected)), outcomes

    async def _require_served(self, public_keys: Sequence[wire.PublicKey], caller: Caller) -> None:
        """Refuse a request for validators that are not served, or not for the caller, or for no keys."""
        unnamed = await self._workers.run(self._unnamed, public_keys, caller.groups)
        if not unnamed:
            return
        new = list(unnamed - await self._database.read(known_keys, unnamed))
        ok = await self._workers.run(check_public_keys, new)
        _refuse(public_keys, {key for key, good in zip(new, ok, strict=True) if not good}, NO_POINT)

    def _unnamed(
        self, public_keys: Sequence[wire.PublicKey], groups: frozenset[Group] | None
    ) -> set[wire.PublicKey]:
        """The validators of no named cluster; all of them are served, and of these groups."""
        if groups is not None:
            foreign = {key for key in public_keys if self._clusters.group_of(key) not in groups}
            if foreign:
                error = refusal(KEYS, public_keys, foreign, NOT_YOUR_CLUSTER)
                raise wire.ForbiddenError(error.field, error.reason, error.rejected)
        unnamed = {key for key in public_keys if not self._clusters.is_named(key)}
        _refuse(public_keys, {key for key in unnamed if self._clusters.group_of(key) is None}, NOT_SERVED)
        return unnamed


def _refuse(public_keys: Sequence[wire.PublicKey], refused: Collection[bytes], reason: str) -> None:
    if refused:
        raise refusal(KEYS, public_keys, refused, reason)


def _signed(signature: bytes) -> web.Response:
    return json_answer(wire.ManagerSignatureAnswer(wire.ManagerSignature(signature)))


def _exit_share(share: wire.ExitShare | wire.SignatureShares, share_limit: int | None) -> OfferedShare:
    subject = None if share.validator_index is None else Exit(share.validator_index)
    return OfferedShare(share.public_key, MessageKind.EXIT, share.exit_signature, subject, share_limit)


def _claim_of(share_index: int, share: wire.ExitShare | wire.SignatureShares) -> bytes | None:
    """What the sender of a share says that the public key shares are; None for nothing of use."""
    items = share.public_key_shares or []
    key_shares = {int(item.share_index): bytes(item.public_key_share) for item in items}
    is_whole = share_index in key_shares and len(key_shares) == len(items)
    return claim_to_bytes(key_shares) if is_whole else None


def _deposit_share(share: wire.SignatureShares, share_limit: int | None) -> OfferedShare:
    return OfferedShare(share.public_key, MessageKind.DEPOSIT, share.deposit_signature, None, share_limit)


def _read_shares(body: bytes, kind: type[S], fields: Sequence[str], caller: Caller) -> wire.ReceivedShares[S]:
    """Read a body of the caller; a signature that is no point of the curve is malformed too."""
    received = wire.decode_shares(body, kind)
    caller.require_share_index(received.share_index)
    for name in fields:
        shares = dict(received.shares)
        signatures = [getattr(share, name) for share in shares.values()]
        decodes = check_signature_encodings(signatures, subgroup=False)
        for (position, share), good in zip(shares.items(), decodes, strict=True):
            if not good:
                received.reject(position, share.public_key.to_wire(), name, NO_POINT)
    if not received.shares:
        raise wire.WireError("shares", "every item is malformed", received.rejected)
    return received


def _validators_answer(asked: Sequence[AskedValidator], start_index: int | None) -> list[Callable[[], bytes]]:
    """A `wire.ValidatorsAnswer` in pieces, each of which is made when it is called."""
    ready = b"true" if all(map(_is_ready, asked)) else b"false"
    index = b"" if start_index is None else b'"validators_start_index":%d,' % start_index
    head = b'{"ready":%s,%s"validators":[' % (ready, index)
    starts = range(0, len(asked), PIECE_VALIDATORS)
    return [
        partial(
            _piece,
            head if start == 0 else b",",
            asked[start : start + PIECE_VALIDATORS],
            b"]}" if start + PIECE_VALIDATORS >= len(asked) else b"",
        )
        for start in starts
    ] or [lambda: head + b"]}"]


def _piece(head: bytes, asked: Sequence[AskedValidator], end: bytes) -> bytes:
    encoded = (
        wire.encode_validator_shares(v.public_key, v.public_key_shares, v.encrypted_signatures) for v in asked
    )
    return head + b",".join(encoded) + end


def _is_ready(validator: AskedValidator) -> bool:
    return validator.public_key_shares is not None and validator.encrypted_signatures is not None


def _wait_seconds(request: web.Request) -> float:
    return wire.read_seconds(request.query.get("wait", "0"), "wait", most=LONGEST_WAIT_SECONDS)


def _share_index(request: web.Request) -> int | None:
    text = request.query.get("share_index")
    return None if text is None else wire.read_share_index(text, "share_index")
