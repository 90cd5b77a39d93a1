"""The operator: a bundle from deposit data, and what it says to wrong files and wrong relayers."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
from aiohttp import web

from dvtfast import HOODI, split_exit_signatures
from dvtfast.deposits import DepositData, sign_deposits, write_deposit_data
from dvtfast.protocol_config import write_oracle_config
from dvtfast.services import wire
from dvtfast.services.operator.commands import collect
from dvtfast.services.relayer_client.client import RelayerClient
from dvtfast.services.settings import CollectSettings, SettingsError
from dvtfast.services.web import http

from ...conftest import ORACLE_THRESHOLD, START_INDEX, Cluster, Oracles, Relayer, Start, make_cluster
from ...patience import PATIENCE_SECONDS
from ...stakewise_relayer import StakewiseRelayer

VALIDATORS = 5
Said = wire.ValidatorsAnswer | wire.ErrorAnswer | bytes | int
Answer = Callable[[wire.ValidatorsRequest], Said]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return make_cluster(VALIDATORS)


def deposits_of(cluster: Cluster) -> DepositData:
    credentials = np.zeros((VALIDATORS, 32), np.uint8)
    credentials[:, 0] = 1
    return sign_deposits(cluster.secret_keys, credentials, np.full(VALIDATORS, 32 * 10**9, np.uint64), HOODI)


@pytest.fixture
def settings(tmp_path: Path, cluster: Cluster, oracles: Oracles) -> Callable[..., CollectSettings]:
    """Settings for a relayer's address; files are written already."""
    write_deposit_data(tmp_path / "deposit-data.json", deposits_of(cluster))
    write_oracle_config(tmp_path / "config.json", oracles.config)

    def make(url: str, **others: Any) -> CollectSettings:
        flags = {
            "network": "hoodi",
            "relayer": url,
            "poll_interval": "0.05",
            "deposit_data": str(tmp_path / "deposit-data.json"),
            "oracles": str(tmp_path / "config.json"),
            "output": str(tmp_path / "bundle.json"),
            "chunk_size": "2",
            "timeout_seconds": "20",
        }
        return CollectSettings.load({**flags, **others}, {})

    return make


async def register(settings: CollectSettings) -> int:
    """The command without its process."""
    deposits, _ = collect.read_deposits(settings)
    oracles = collect.read_oracle_config(settings.oracles) if settings.oracles else None
    return await collect._collect(settings, deposits, oracles)


def bundle_in(settings: CollectSettings) -> wire.RegistrationBundle:
    return wire.decode(settings.output.read_bytes(), wire.RegistrationBundle)


async def fill(relayer: Relayer, cluster: Cluster, indices: list[int]) -> None:
    await relayer.until(lambda exits: len(exits) == len(indices))
    await relayer.fill(cluster, indices, 1, 2, 3)


async def test_a_bundle_of_all_validators(
    start: Start, cluster: Cluster, settings: Callable[..., CollectSettings]
) -> None:
    indices = list(range(7, 7 + VALIDATORS))
    async with start(cluster) as relayer:
        chosen = settings(relayer.url, start_index="7")
        code, _ = await asyncio.gather(register(chosen), fill(relayer, cluster, indices))
        assert code == 0
        served = {
            v.public_key: v.oracles_exit_signature_shares for v in (await relayer.ask(cluster)).validators
        }
    bundle = bundle_in(chosen)
    assert (bundle.version, bundle.network) == (1, "hoodi")
    assert bundle.exit_signature_recover_threshold == ORACLE_THRESHOLD
    assert [v.public_key for v in bundle.validators] == cluster.keys
    assert [v.validator_index for v in bundle.validators] == indices
    deposits = deposits_of(cluster)
    for i, validator in enumerate(bundle.validators):
        assert validator.oracles_exit_signature_shares == served[validator.public_key]
        assert validator.deposit_signature == deposits.signatures[i].tobytes()
        assert validator.deposit_data_root == deposits.data_roots[i].tobytes()
        assert validator.withdrawal_credentials == deposits.withdrawal_credentials[i].tobytes()
        assert validator.amount_gwei == 32 * 10**9
    # The file is plain JSON that another program can read.
    assert json.loads(chosen.output.read_text())["validators"][0]["public_key"] == cluster.keys[0].to_wire()


async def test_the_relayer_may_choose_the_indices(
    start: Start, cluster: Cluster, settings: Callable[..., CollectSettings]
) -> None:
    async with start(cluster) as relayer:
        chosen = settings(relayer.url)
        indices = list(range(START_INDEX, START_INDEX + VALIDATORS))
        code, _ = await asyncio.gather(register(chosen), fill(relayer, cluster, indices))
    assert code == 0
    assert [v.validator_index for v in bundle_in(chosen).validators] == [None] * VALIDATORS


async def test_a_restart_of_the_relayer_is_waited_for(
    start: Start, cluster: Cluster, settings: Callable[..., CollectSettings], unused_tcp_port: int
) -> None:
    """The address answers nothing at first, then 500, then as it should."""
    answers = iter([500, b"{", 503])
    async with start(cluster) as relayer:
        indices = list(range(7, 7 + VALIDATORS))
        await relayer.ask(cluster, 7)
        await relayer.fill(cluster, indices, 1, 2, 3)
        ready = await relayer.until_ready(cluster)

        def answer(request: wire.ValidatorsRequest) -> Said:
            wanted = set(request.public_keys)
            good = [v for v in ready.validators if v.public_key in wanted]
            odd = next(answers, None)
            if isinstance(odd, int):
                return odd
            return wire.ValidatorsAnswer(True, good, request.validators_start_index)

        async with misbehaving(answer, port=unused_tcp_port) as url:
            chosen = settings(url, start_index="7")
            assert await register(chosen) == 0
    assert len(bundle_in(chosen).validators) == VALIDATORS


@asynccontextmanager
async def misbehaving(answer: Answer, *, network: str = "hoodi", port: int = 0) -> AsyncIterator[str]:
    """A server that answers POST /validators as told: a struct (an error is a 422), bytes or a status."""

    async def info(_: web.Request) -> web.Response:
        return http.json_answer(wire.InfoAnswer(network))

    async def validators(request: web.Request) -> web.Response:
        said = answer(wire.decode(await request.read(), wire.ValidatorsRequest))
        if isinstance(said, int):
            return web.Response(status=said)
        return http.json_answer(said, status=422 if isinstance(said, wire.ErrorAnswer) else 200)

    application = web.Application()
    application.router.add_get("/info", info)
    application.router.add_post("/validators", validators)
    async with http.listening(application, "127.0.0.1", port) as listening_port:
        yield f"http://127.0.0.1:{listening_port}"


def right_shares(cluster: Cluster, *, threshold: int = ORACLE_THRESHOLD) -> list[wire.ValidatorShares]:
    """Shares that pass the operator's checks; only oracles could tell that nothing is encrypted in them."""
    signatures = [share.exit_signature for share in cluster.exit_shares(1, range(VALIDATORS))]
    roots = np.zeros((VALIDATORS, 32), np.uint8)
    split = split_exit_signatures(signatures, cluster.shares.public_keys, roots, total=3, threshold=threshold)
    blob = wire.EncryptedSignature(bytes(wire.EncryptedSignature.width))
    return [
        wire.ValidatorShares(
            key, wire.OraclesExitSignatureShares(wire.PublicKey.rows(keys.tobytes()), [blob] * 3)
        )
        for key, keys in zip(cluster.keys, split.public_key_shares, strict=True)
    ]


def answering(shares: list[wire.ValidatorShares]) -> Answer:
    """Answer with these shares where they are asked for."""
    of_key = {item.public_key: item for item in shares}
    return lambda request: wire.ValidatorsAnswer(True, [of_key[key] for key in request.public_keys])


def _lacks_one(shares: wire.OraclesExitSignatureShares) -> None:
    shares.public_keys.pop()
    shares.encrypted_exit_signatures.pop()


def _uneven(shares: wire.OraclesExitSignatureShares) -> None:
    shares.encrypted_exit_signatures.pop()


def _swapped(shares: wire.OraclesExitSignatureShares) -> None:
    shares.public_keys.reverse()


def _no_point(shares: wire.OraclesExitSignatureShares) -> None:
    shares.public_keys[1] = wire.PublicKey(b"\xff" * 48)


def _infinity(shares: wire.OraclesExitSignatureShares) -> None:
    shares.public_keys[0] = wire.PublicKey(b"\xc0" + bytes(47))


@pytest.mark.parametrize("spoil", [_lacks_one, _uneven, _swapped, _no_point, _infinity])
async def test_wrong_shares_are_named_and_left_out(
    spoil: Callable[[wire.OraclesExitSignatureShares], None],
    cluster: Cluster,
    settings: Callable[..., CollectSettings],
    capfd: pytest.CaptureFixture[str],
) -> None:
    shares = right_shares(cluster)
    of_victim = shares[3].oracles_exit_signature_shares
    assert of_victim is not None
    spoil(of_victim)
    async with misbehaving(answering(shares)) as url:
        chosen = settings(url)
        assert await register(chosen) == 1
    assert [v.public_key for v in bundle_in(chosen).validators] == [*cluster.keys[:3], cluster.keys[4]]
    output = "".join(capfd.readouterr())
    assert cluster.keys[3].to_wire() in output
    assert cluster.keys[2].to_wire() not in output


async def test_shares_of_another_threshold(
    cluster: Cluster, settings: Callable[..., CollectSettings]
) -> None:
    async with misbehaving(answering(right_shares(cluster, threshold=ORACLE_THRESHOLD + 1))) as url:
        chosen = settings(url)
        chosen.output.write_text("the bundle of another day")
        assert await register(chosen) == 1
    assert chosen.output.read_text() == "the bundle of another day"


async def test_without_a_config_nothing_is_checked_and_that_is_said(
    cluster: Cluster, settings: Callable[..., CollectSettings], capfd: pytest.CaptureFixture[str]
) -> None:
    async with misbehaving(answering(right_shares(cluster))) as url:
        chosen = dataclasses.replace(settings(url), oracles=None)
        assert await register(chosen) == 0
    assert bundle_in(chosen).exit_signature_recover_threshold is None
    assert "not checked" in "".join(capfd.readouterr())


async def test_of_answers_that_change_the_newest_whole_one_counts(
    cluster: Cluster, settings: Callable[..., CollectSettings]
) -> None:
    """What came before is not mixed with it, and what is not there any more is waited for."""
    first, second, last = (right_shares(cluster) for _ in range(3))
    first[1] = wire.ValidatorShares(cluster.keys[1], None)  # so that its chunk is asked for again
    second[3] = wire.ValidatorShares(cluster.keys[3], None)
    answers = iter([first, second, last])
    async with misbehaving(lambda _: wire.ValidatorsAnswer(False, next(answers))) as url:
        chosen = settings(url, chunk_size=str(VALIDATORS))
        assert await register(chosen) == 0
    assert [v.oracles_exit_signature_shares for v in bundle_in(chosen).validators] == [
        each.oracles_exit_signature_shares for each in last
    ]


async def test_a_relayer_that_splits_anew_at_each_further_share(
    cluster: Cluster, oracles: Oracles, settings: Callable[..., CollectSettings]
) -> None:
    """The first makers' does; a slow node's share comes while the operator waits for another validator."""
    relayer = StakewiseRelayer(oracles.config, threshold=3, next_index=7)
    steps = [((1, 2, 3), slice(0, 4)), ((4,), slice(0, 4)), ((1, 2, 3), slice(4, VALIDATORS))]

    async def sign(url: str) -> None:
        async with RelayerClient(url, timeout_seconds=20) as client:
            for share_indices, rows in steps:
                relayer.asked.clear()
                await relayer.asked.wait()  # the operator saw the step before
                for share_index in share_indices:
                    shares = cluster.exit_shares(share_index, range(7, 7 + VALIDATORS))[rows]
                    request = wire.ExitSignatureRequest(wire.ShareIndex(share_index), shares)
                    await client.post_exit_shares(request)

    async with relayer.running() as url:
        chosen = settings(url, chunk_size=str(VALIDATORS), start_index="7")
        signing = asyncio.create_task(sign(url))
        assert await register(chosen) == 0
        signing.cancel()
    assert relayer.splits == 4 + 4 + 1
    bundle = bundle_in(chosen)
    for validator in bundle.validators:
        assert msgspec.to_builtins(validator.oracles_exit_signature_shares, enc_hook=wire.Hex.to_wire) == (
            relayer.exits[validator.public_key.to_wire()].for_oracles
        )
    assert [v.validator_index for v in bundle.validators] == [*range(7, 7 + VALIDATORS)]


async def signed_by_first_makers(
    relayer: StakewiseRelayer, cluster: Cluster, chosen: CollectSettings, *, per_request: int = VALIDATORS
) -> int:
    """The exit code of an operator beside a relayer of the first makers whose nodes have signed it all."""
    keys = [key.to_wire() for key in cluster.keys]
    async with (
        aiohttp.ClientSession() as session,
        RelayerClient(chosen.relayer, timeout_seconds=20) as client,
    ):
        for start in range(0, VALIDATORS, per_request):
            body = {"public_keys": keys[start : start + per_request]}
            async with session.post(f"{chosen.relayer}/validators", json=body) as answer:
                assert answer.status == 200
        indices = [relayer.exits[key].validator_index for key in keys]
        for share_index in (1, 2, 3):
            shares = cluster.exit_shares(share_index, indices)
            request = wire.ExitSignatureRequest(wire.ShareIndex(share_index), shares)
            await client.post_exit_shares(request)
    return await register(chosen)


@pytest.mark.parametrize("lists", [True, False])
async def test_indices_of_a_relayer_that_knows_no_start_index(
    lists: bool,
    cluster: Cluster,
    oracles: Oracles,
    settings: Callable[..., CollectSettings],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Where it signs for those that are wanted, it says so; where it does not, or says nothing, no file."""
    relayer = StakewiseRelayer(oracles.config, threshold=3, next_index=1000)
    relayer.lists_exits = lists
    whole = str(VALIDATORS)
    async with relayer.running() as url:
        right = settings(url, start_index="1000", chunk_size=whole)
        assert await signed_by_first_makers(relayer, cluster, right) == (0 if lists else 1)
        assert right.output.exists() is lists
        if lists:
            bundle = bundle_in(right)
            assert [v.validator_index for v in bundle.validators] == [*range(1000, 1000 + VALIDATORS)]
            assert bundle.checked is not None
            assert bundle.checked.validator_indices == "told by the relayer"
            right.output.unlink()
        wrong = settings(url, start_index="7", chunk_size=whole)
        assert await register(wrong) == 1
        assert not wrong.output.exists()
        output = "".join(capfd.readouterr())
        assert ("index 1000, not 7" if lists else "does not say") in output
        # Without an index the relayer's are as good as any, and the bundle has none.
        free = settings(url, chunk_size=whole)
        assert await register(free) == 0
        assert [v.validator_index for v in bundle_in(free).validators] == [None] * VALIDATORS
        assert bundle_in(free).checked == wire.BundleChecks(wire.Address(bytes(20)), True, None)


@pytest.mark.parametrize("start", ["1000", None])
async def test_a_relayer_that_counts_anew_in_each_request(
    start: str | None,
    cluster: Cluster,
    oracles: Oracles,
    settings: Callable[..., CollectSettings],
    capfd: pytest.CaptureFixture[str],
) -> None:
    relayer = StakewiseRelayer(oracles.config, threshold=3, next_index=1000)
    async with relayer.running() as url:
        others = {"start_index": start} if start else {}
        chosen = settings(url, chunk_size="2", **others)
        assert await signed_by_first_makers(relayer, cluster, chosen, per_request=2) == 1
    assert not chosen.output.exists()
    assert f"ask for all in one of {VALIDATORS}" in "".join(capfd.readouterr())


def test_parts_of_a_deposit_are_no_registration(
    cluster: Cluster, settings: Callable[..., CollectSettings]
) -> None:
    """charon writes one file for each amount; somebody may have put two into one."""
    chosen = settings("http://127.0.0.1:1")
    whole = deposits_of(cluster)
    part = sign_deposits(
        cluster.secret_keys, whole.withdrawal_credentials, np.full(VALIDATORS, 10**9, np.uint64), HOODI
    )
    write_deposit_data(chosen.deposit_data, part)
    for skip in (False, True):
        with pytest.raises(SettingsError) as caught:
            collect.read_deposits(dataclasses.replace(chosen, skip_invalid=skip))
        text = "\n".join(caught.value.problems)
        assert "record 0: amount: a vault deposits 32 ETH" in text
        assert "it has deposits of 1 ETH (5). " in text
        assert "charon writes a file for each amount" in text
    two = json.loads(chosen.deposit_data.read_text())
    write_deposit_data(chosen.deposit_data, whole)
    chosen.deposit_data.write_text(json.dumps(json.loads(chosen.deposit_data.read_text()) + two))
    with pytest.raises(SettingsError) as caught:
        collect.read_deposits(chosen)
    assert "it has deposits of 1 ETH (5) and of 32 ETH (5). " in "\n".join(caught.value.problems)


def test_deposits_are_for_the_vault(cluster: Cluster, settings: Callable[..., CollectSettings]) -> None:
    chosen = settings("http://127.0.0.1:1", vault="0x" + "11" * 20)
    with pytest.raises(SettingsError, match="record 0: withdrawal_credentials: not those of the vault"):
        collect.read_deposits(chosen)
    credentials = np.zeros((VALIDATORS, 32), np.uint8)
    credentials[:, 0], credentials[1:, 12:] = 1, 0x22
    amounts = np.full(VALIDATORS, 32 * 10**9, np.uint64)
    write_deposit_data(chosen.deposit_data, sign_deposits(cluster.secret_keys, credentials, amounts, HOODI))
    with pytest.raises(SettingsError, match="goes back to 2 addresses") as caught:
        collect.read_deposits(settings("http://127.0.0.1:1", vault="0x" + "22" * 20))
    assert len(caught.value.problems) == 3  # the record, the addresses, how many


@pytest.mark.parametrize("is_wrong", [True, False])
def test_whom_deposits_are_for_is_not_told_by_one_that_is_left_out(
    cluster: Cluster, settings: Callable[..., CollectSettings], is_wrong: bool
) -> None:
    """The first record is for another vault; where it is right, too, somebody has to say which is meant."""
    chosen = settings("http://127.0.0.1:1", skip_invalid="true")
    credentials = np.zeros((VALIDATORS, 32), np.uint8)
    credentials[:, 0], credentials[:, 12:], credentials[0, 12:] = 1, 0x22, 0x11
    amounts = np.full(VALIDATORS, 32 * 10**9, np.uint64)
    write_deposit_data(chosen.deposit_data, sign_deposits(cluster.secret_keys, credentials, amounts, HOODI))
    if is_wrong:
        records = json.loads(chosen.deposit_data.read_text())
        records[0]["signature"] = records[1]["signature"]
        chosen.deposit_data.write_text(json.dumps(records))
        deposits, left_out = collect.read_deposits(chosen)
        assert left_out == 1
        assert [row.tobytes() for row in deposits.public_keys] == cluster.keys[1:]
        return
    with pytest.raises(SettingsError, match=r"2 addresses, such as 0x1{40} and 0x2{40}; say with --vault"):
        collect.read_deposits(chosen)
    for vault, count in (("0x" + "11" * 20, 1), ("0x" + "22" * 20, VALIDATORS - 1)):
        deposits, left_out = collect.read_deposits(
            settings("http://127.0.0.1:1", skip_invalid="true", vault=vault)
        )
        assert (len(deposits.public_keys), left_out) == (count, VALIDATORS - count)


async def test_validators_that_nobody_asked_for_are_not_taken(
    cluster: Cluster, settings: Callable[..., CollectSettings]
) -> None:
    stranger = make_cluster(1).keys[0]
    shares = right_shares(cluster)
    answers = iter([[wire.ValidatorShares(stranger, shares[0].oracles_exit_signature_shares)]])
    async with misbehaving(lambda _: wire.ValidatorsAnswer(True, next(answers, shares))) as url:
        chosen = settings(url, chunk_size=str(VALIDATORS))
        assert await register(chosen) == 0
    assert [v.public_key for v in bundle_in(chosen).validators] == cluster.keys


async def test_refused_validators_are_named_and_the_others_keep_their_indices(
    start: Start,
    cluster: Cluster,
    settings: Callable[..., CollectSettings],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The relayer's cluster lacks two validators of the deposit data, in the middle of chunks."""
    known = [0, 2, 4]
    shares = dataclasses.replace(
        cluster.shares,
        public_keys=cluster.shares.public_keys[known],
        public_key_shares=cluster.shares.public_key_shares[known],
    )
    served = Cluster(cluster.secret_keys[known], cluster.key_shares[known], shares)
    indices = [7 + i for i in known]
    async with start(served) as relayer:
        chosen = settings(relayer.url, start_index="7", chunk_size="4")
        code, _ = await asyncio.gather(register(chosen), fill(relayer, served, indices))
    assert code == 1
    assert [v.validator_index for v in bundle_in(chosen).validators] == indices
    output = "".join(capfd.readouterr())
    for i, key in enumerate(cluster.keys):
        assert (key.to_wire() in output) == (i not in known)


async def test_a_relayer_that_refuses_everybody_one_by_one(
    cluster: Cluster, settings: Callable[..., CollectSettings], capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(request: wire.ValidatorsRequest) -> wire.ErrorAnswer:
        key = request.public_keys[len(request.public_keys) // 2].to_wire()
        return wire.ErrorAnswer("no", rejected=[wire.Rejected(key, "not ours")])

    async with misbehaving(refuse) as url:
        chosen = settings(url, start_index="7", chunk_size=str(VALIDATORS))
        assert await register(chosen) == 1
    assert not chosen.output.exists()
    output = "".join(capfd.readouterr())
    assert all(key.to_wire() in output for key in cluster.keys)
    assert "nothing was written" in output


async def test_a_refusal_that_names_strangers_ends_it(
    settings: Callable[..., CollectSettings], capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = wire.Rejected(make_cluster(1).keys[0].to_wire(), "not ours")
    async with misbehaving(lambda _: wire.ErrorAnswer("full", rejected=[stranger])) as url:
        chosen = settings(url)
        assert await register(chosen) == 1
    assert "full" in "".join(capfd.readouterr())


def test_indices_end_where_the_beacon_chain_has_no_more(settings: Callable[..., CollectSettings]) -> None:
    collect.read_deposits(settings("http://127.0.0.1:1", start_index=str(2**40 - VALIDATORS)))
    with pytest.raises(SettingsError, match="--start-index"):
        collect.read_deposits(settings("http://127.0.0.1:1", start_index=str(2**40 - VALIDATORS + 1)))


async def test_a_relayer_of_another_network(
    cluster: Cluster, settings: Callable[..., CollectSettings], capfd: pytest.CaptureFixture[str]
) -> None:
    async with misbehaving(answering([]), network="mainnet") as url:
        assert await register(settings(url)) == 1
    assert "mainnet" in "".join(capfd.readouterr())


@pytest.mark.parametrize("junk", [b"[]", b'{"ready": 1}', b"\xff", b'{"ready": true, "validators": [{}]}'])
async def test_an_answer_that_is_none(
    junk: bytes, settings: Callable[..., CollectSettings], capfd: pytest.CaptureFixture[str]
) -> None:
    async with misbehaving(lambda _: junk) as url:
        chosen = settings(url)
        assert await register(chosen) == 1
    assert not chosen.output.exists()
    assert "not a relayer's answer" in "".join(capfd.readouterr())


async def test_it_gives_up_in_time(cluster: Cluster, settings: Callable[..., CollectSettings]) -> None:
    never = [wire.ValidatorShares(key, None) for key in cluster.keys]
    async with misbehaving(answering(never)) as url:
        assert await register(settings(url, timeout_seconds="0.3")) == 1


def test_every_bad_record_is_listed_and_nothing_is_sent(
    cluster: Cluster, settings: Callable[..., CollectSettings], tmp_path: Path
) -> None:
    chosen = settings("http://127.0.0.1:1")
    records = json.loads(chosen.deposit_data.read_text())
    records[0]["signature"] = records[1]["signature"]
    records[2]["deposit_data_root"] = "00" * 32
    records[4] = records[3]
    chosen.deposit_data.write_text(json.dumps(records))
    with pytest.raises(SettingsError) as caught:
        collect.read_deposits(chosen)
    text = "\n".join(caught.value.problems)
    for problem in ("record 0: signature", "record 2: deposit_data_root", "record 4: pubkey: repeated"):
        assert problem in text
    assert "--skip-invalid" in text

    deposits, left_out = collect.read_deposits(dataclasses.replace(chosen, skip_invalid=True))
    assert left_out == 3
    assert [row.tobytes() for row in deposits.public_keys] == [cluster.keys[1], cluster.keys[3]]


def operator_process(settings: CollectSettings, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "dvtfast.services", "operator", "collect", "--network", "hoodi",
        "--relayer", settings.relayer, "--deposit-data", str(settings.deposit_data),
        "--output", str(settings.output), *more,
    ]  # fmt: skip


async def test_as_a_process(
    cluster: Cluster, settings: Callable[..., CollectSettings], tmp_path: Path
) -> None:
    async with misbehaving(answering(right_shares(cluster))) as url:
        chosen = settings(url)
        process = await asyncio.create_subprocess_exec(
            *operator_process(chosen, "--oracles", str(chosen.oracles))
        )
        assert await process.wait() == 0
        assert len(bundle_in(chosen).validators) == VALIDATORS
        # A directory that is not there is said, not thrown.
        lost = dataclasses.replace(chosen, output=tmp_path / "nowhere" / "bundle.json")
        process = await asyncio.create_subprocess_exec(
            *operator_process(lost), stderr=asyncio.subprocess.PIPE
        )
        _, message = await process.communicate()
        assert process.returncode != 0
        assert b"nowhere" in message
        assert b"Traceback" not in message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_when_told(
    number: signal.Signals, cluster: Cluster, settings: Callable[..., CollectSettings]
) -> None:
    asked = asyncio.Event()

    def never(request: wire.ValidatorsRequest) -> wire.ValidatorsAnswer:
        asked.set()
        return wire.ValidatorsAnswer(False, [wire.ValidatorShares(key, None) for key in request.public_keys])

    async with misbehaving(never) as url:
        chosen = settings(url)
        process = await asyncio.create_subprocess_exec(
            *operator_process(chosen), stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asked.wait()
            process.send_signal(number)
            _, message = await process.communicate()
    assert process.returncode == collect.STOPPED
    assert b"Traceback" not in message
    assert not chosen.output.exists()
