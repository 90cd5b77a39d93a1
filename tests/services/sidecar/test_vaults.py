"""Whose deposits are signed: relayers are bound to vaults, and there is a way out of a wrong binding."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from dvtfast.services import wire
from dvtfast.services.cli import main
from dvtfast.services.settings import SettingsError, SidecarSettings
from dvtfast.services.sidecar.app import signing_of
from dvtfast.services.sidecar.journal.signing_journal import SigningJournal
from dvtfast.services.sidecar.metrics import SidecarMetrics
from dvtfast.services.sidecar.signing import signing as signing_module
from dvtfast.services.sidecar.signing.deposit_policy import DepositPolicy
from dvtfast.services.sidecar.signing.signing import Signing

from ..chain.beacon.beacon_nodes import BeaconState, beacon_with
from ..chain.deposits.deposit_events import Deposit
from ..conftest import make_cluster
from ..relayer.test_register import ETH, VAULT
from ..sidecars import signing_node
from .test_deposits import OTHER, item
from .test_journal import KEY, OTHER_KEY, PARTY, admit_deposits, deposit, make_journal_of_1, rows

A, B = "http://a:8000", "https://u:secret@b/path"
OURS, THEIRS = wire.Address(VAULT), wire.Address(OTHER)


def settings_with(tmp_path: Path, *, relayers: Sequence[str] = (A, B), **flags: object) -> SidecarSettings:
    (tmp_path / "lock.json").touch()
    others = {"network": "hoodi", "relayers": relayers, "cluster_lock": str(tmp_path / "lock.json")}
    return SidecarSettings.load({**others, "keystores": str(tmp_path), **flags}, {})


def test_vaults_are_bound_to_relayers(tmp_path: Path) -> None:
    """By name, by address, in a file; without a name for all."""
    file = tmp_path / "vaults.txt"
    file.write_bytes(b"\xef\xbb\xbf# whose they are\r\n" + f"b = {OURS.to_wire()}  # ours\r\n\r\n".encode())
    settings = settings_with(
        tmp_path,
        allow_vaults=[f"a:8000={OURS.to_wire()}", f"{B}={THEIRS.to_wire()}", "0x" + "11" * 20],
        allow_vaults_file=str(file),
    )
    assert settings.vaults_by_relayer == {
        "a:8000": {OURS},
        "b": {OURS, THEIRS},
        None: {bytes([0x11] * 20)},
    }


def test_relayers_of_one_host_are_bound_in_a_file(tmp_path: Path) -> None:
    """Their names have a #, as comments begin with."""
    file = tmp_path / "vaults.txt"
    file.write_text(f"h#1={OURS.to_wire()}# ours\nh#2 = {THEIRS.to_wire()} # theirs\n")
    settings = settings_with(tmp_path, relayers=["http://h/a", "http://h/b"], allow_vaults_file=str(file))
    assert settings.vaults_by_relayer == {"h#1": {OURS}, "h#2": {THEIRS}}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"allow_vaults": ["c=0x" + "11" * 20]}, "no relayer is called c; there are a:8000, b"),
        ({"allow_vaults": ["=0x" + "11" * 20]}, "expected ADDRESS or RELAYER=ADDRESS"),
        ({"allow_vaults": [f"{B}=0x11"]}, "--allow-vault"),
        ({"allow_rotation": "true"}, "--consensus-endpoint"),
    ],
)
def test_what_is_wrong_with_them_is_said(tmp_path: Path, flags: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_with(tmp_path, **flags)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_wrong_line_of_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "vaults.txt"
    file.write_text(f"{OURS.to_wire()}\n\nb=nonsense\n")
    with pytest.raises(SettingsError, match=r"vaults\.txt: line 3: "):
        settings_with(tmp_path, allow_vaults_file=str(file))


def wanted(cluster: object, row: int = 0, **others: object) -> wire.ValidatorWanted:
    return wire.decode(json.dumps(item(cluster, row, **others)).encode(), wire.ValidatorWanted)  # type: ignore[arg-type]


async def test_a_relayer_gets_its_own_vaults_only() -> None:
    """So that it cannot bind another's validators, nor another's vault's."""
    cluster = make_cluster(2)
    policy = DepositPolicy(vaults_of={"a": {VAULT}, "b": {OTHER}})
    async with signing_node(cluster, policy=policy) as (node, signing):
        for_ours, for_theirs = wanted(cluster), wanted(cluster, vault=THEIRS.to_wire())
        assert await signing.refusals(node, "b", [for_ours]) == [
            f"the vault {OURS.to_wire()} is another relayer's by --allow-vault"
        ]
        assert len((await signing.admit_validators(node, "b", [for_ours])).items) == 0
        assert len((await signing.admit_validators(node, "a", [for_ours])).items) == 1
        assert "another vault" in (await signing.refusals(node, "b", [for_theirs]))[0]


async def test_amounts_of_one_relayer_leave_the_others_theirs() -> None:
    """A thousand amounts of one validator, for one relayer: its own other validators, and others, go on."""
    cluster = make_cluster(2)
    policy = DepositPolicy(frozenset({VAULT}), most_a_day=200, most_of_one=50)
    async with signing_node(cluster, policy=policy) as (node, signing):
        flood = [
            wanted(cluster, amount=(32 * ETH) + i, validator_type="0x02", validator_index=i)
            for i in range(1_000)
        ]
        assert len((await signing.admit_validators(node, "a", flood)).items) == 50
        assert len((await signing.admit_validators(node, "a", [wanted(cluster, 1)])).items) == 1
        for row in (0, 1):
            assert len((await signing.admit_validators(node, "b", [wanted(cluster, row)])).items) == 1


async def test_reasons_of_one_relayer_do_not_silence_the_others(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signing_module, "REASONS_TOLD", 3)
    cluster = make_cluster(1)
    async with signing_node(cluster) as (node, signing):
        invented = [wanted(cluster, vault="0x" + f"{i:040x}") for i in range(10)]
        await signing.admit_validators(node, "a", invented)
        await signing.admit_validators(node, "b", [wanted(cluster)])
    output = "".join(capfd.readouterr())
    assert output.count("relayer=a") == 3
    assert output.count("relayer=b") == 1


# --- the way out ---


async def bound(path: Path) -> dict[bytes, bytes]:
    journal = SigningJournal(path)
    found = {each.public_key: each.vault for each in await journal.bindings()}
    await journal.close()
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two validators, bound to our vault."""

    async def make() -> None:
        made = SigningJournal(tmp_path / "journal.db")
        await admit_deposits(made, PARTY, [deposit(1, vault=VAULT), deposit(2, key=OTHER_KEY, vault=VAULT)])
        await made.close()

    asyncio.run(make())
    return tmp_path / "journal.db"


def release(journal: Path, *arguments: str, typed: str = "") -> Result:
    flags = ["--journal", str(journal), "--from-vault", OURS.to_wire(), "--to-vault", THEIRS.to_wire()]
    return CliRunner().invoke(main, ["sidecar", "release", *flags, *arguments], input=typed)


KEY_FLAG = ("--validator", "0x" + KEY.hex())


def test_a_release_explains_and_asks(journal: Path) -> None:
    result = release(journal, *KEY_FLAG, typed=THEIRS.to_wire() + "\n")
    assert result.exit_code == 0, result.output
    for part in ("Deposits of 1 validator were signed", "is lost to it", "0x" + KEY.hex(), "last signed 20"):
        assert part in result.output
    assert asyncio.run(bound(journal)) == {KEY: OTHER, OTHER_KEY: VAULT}


@pytest.mark.parametrize("typed", ["", "y\n", "yes\n", OURS.to_wire() + "\n"])
def test_a_release_is_not_made_by_accident(journal: Path, typed: str) -> None:
    result = release(journal, *KEY_FLAG, typed=typed)
    assert result.exit_code == 130
    assert "nothing was released" in result.output
    assert asyncio.run(bound(journal)) == {KEY: VAULT, OTHER_KEY: VAULT}


def test_what_cannot_be_released_is_named(journal: Path) -> None:
    unnamed = release(journal)
    assert (unnamed.exit_code, "2 validators are bound" in unnamed.output) == (1, True)
    stranger = release(journal, *KEY_FLAG, "--validator", "0x" + "09" * 48, "--yes")
    assert (stranger.exit_code, "1 of 2 are not bound" in stranger.output) == (1, True)
    assert asyncio.run(bound(journal)) == {KEY: VAULT, OTHER_KEY: VAULT}
    both = release(journal, *KEY_FLAG, "--all", "--yes")
    assert both.exit_code == 2
    assert release(journal, "--all", "--yes").exit_code == 0
    assert asyncio.run(bound(journal)) == {KEY: OTHER, OTHER_KEY: OTHER}
    again = release(journal, *KEY_FLAG, "--yes")
    assert (again.exit_code, "1 of 1 are not bound" in again.output) == (1, True)


def test_nothing_is_released_that_an_older_sidecar_would_not_go_by(tmp_path: Path) -> None:
    """One that runs since before the update knows no releases."""
    path = tmp_path / "journal.db"
    before = make_journal_of_1(path, 1_800_000_000)
    result = release(path, *KEY_FLAG, "--yes")
    assert result.exit_code == 2
    assert "it is of version 1: stop the sidecars of the older dvtfast" in result.output
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert rows(path) == before
    asyncio.run(SigningJournal(path).close())  # as a sidecar does at its start
    result = release(path, *KEY_FLAG, "--yes")
    assert "1 of 1 are not bound to" in result.output  # that file's are another vault's


async def test_validators_that_are_deposited_are_not_released(journal: Path) -> None:
    """On the beacon chain, or on their way there."""
    waits = Deposit(OTHER_KEY, b"\1" + bytes(11) + VAULT, 32 * ETH, bytes(96))
    for state in (BeaconState(count=9, keys={KEY: 8}), BeaconState(pending=[waits])):
        flag = KEY_FLAG if state.keys else ("--validator", "0x" + OTHER_KEY.hex())
        async with beacon_with(state) as url:
            result = await asyncio.to_thread(release, journal, *flag, "--consensus-endpoint", url, "--yes")
        assert (result.exit_code, "1 of 1 have a deposit on chain" in result.output) == (1, True)
    async with beacon_with(BeaconState()) as url:
        result = await asyncio.to_thread(release, journal, *KEY_FLAG, "--consensus-endpoint", url, "--yes")
    assert result.exit_code == 0, result.output
    result = await asyncio.to_thread(
        release, journal, "--all", "--consensus-endpoint", "http://127.0.0.1:1", "--yes"
    )
    assert result.exit_code == 1
    assert "Traceback" not in result.output


async def test_a_running_sidecar_goes_by_a_release(tmp_path: Path) -> None:
    cluster = make_cluster(1)
    policy = DepositPolicy(frozenset({VAULT, OTHER}))
    path = tmp_path / "journal.db"
    async with signing_node(cluster, policy=policy, journal=path) as (node, signing):
        first, second = wanted(cluster), wanted(cluster, vault=THEIRS.to_wire())
        assert await admitted(signing, node, [first, second]) == [first]
        flag = ("--validator", cluster.keys[0].to_wire())
        result = await asyncio.to_thread(release, path, *flag, "--yes")
        assert result.exit_code == 0, result.output
        assert await admitted(signing, node, [first, second]) == [second]


async def admitted(
    signing: Signing, node: object, items: list[wire.ValidatorWanted]
) -> list[wire.ValidatorWanted]:
    return list((await signing.admit_validators(node, "a", items)).items)  # type: ignore[arg-type]


@pytest.mark.parametrize(("relayers", "told"), [((A, B), 1), ((A,), 0)])
async def test_vaults_of_nobody_in_particular_are_told_of(
    tmp_path: Path, relayers: Sequence[str], told: int
) -> None:
    """Where there are several relayers, each could have the others' validators bound."""
    for vaults, count in ((["0x" + "11" * 20], told), (["a:8000=0x" + "11" * 20], 0)):
        settings = settings_with(tmp_path, relayers=relayers, allow_vaults=vaults)
        book = SigningJournal(None)
        async with AsyncExitStack() as stack:
            with capture_logs() as lines:
                await signing_of(settings, book, SidecarMetrics(), stack)
        await book.close()
        assert [line["vaults"] for line in lines] == [["0x" + "11" * 20]] * count
