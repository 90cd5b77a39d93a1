"""A node that is started again when its ceremony has ended: it says so, ends what is left, needs nobody."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest

from dvtfast import generate_secret_keys, split_secret_keys, ssv
from dvtfast.obol import KEY_FILE
from dvtfast.services.ceremony.completion import is_of, verify_finished
from dvtfast.services.ceremony.definition import ClusterAgreement, read_agreement
from dvtfast.services.ceremony.errors import CeremonyError, CeremonyFailedError
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.ceremony.protocol import FROST, NATIVE, agent_of
from dvtfast.services.ceremony.running import driver, records_file
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.ceremony.running.mailbox import Mailbox
from dvtfast.services.ceremony.running.records_file import FOLDER, RecordsFile, kept_receipts
from dvtfast.services.ceremony.ssv_files import write_ssv_keyshares
from dvtfast.services.ceremony.ssv_terms import SsvTerms
from dvtfast.services.ceremony.staging import WRITTEN
from dvtfast.services.ceremony.storing import Keymanager, NodeStore

from ..patience import PATIENCE_SECONDS
from .dealt import CHEAP
from .nodes import Cluster
from .test_frost_kept import kept_in
from .test_frost_kept import run as run_frost
from .test_protocol import Ceremony
from .test_running import files_in, secrets_in, take_part

FOR_EVER = Patience(join_seconds=math.inf, silence_seconds=math.inf)
AT_ONCE = Patience(join_seconds=0.0, silence_seconds=0.0)


@pytest.fixture
async def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """A cluster that has made its keys."""
    cluster = Cluster(tmp_path)
    async with asyncio.timeout(PATIENCE_SECONDS):
        agreement = await read_agreement(str(cluster.file), verify=True)
        await asyncio.gather(*(take_part(cluster, agreement, i, FOR_EVER) for i in range(4)))
        monkeypatch.setattr(driver, "JOIN_FLUSH_SECONDS", 0.1)
        yield cluster


async def again(cluster: Cluster, position: int = 3, patience: Patience = AT_ONCE) -> str:
    agreement = await read_agreement(str(cluster.file), verify=True)
    return await take_part(cluster, agreement, position, patience)


def files_of(folder: Path) -> dict[Path, bytes]:
    """All that is there but for what the ceremony keeps for itself."""
    paths = (path for path in folder.rglob("*") if path.is_file() and FOLDER not in path.parts)
    return {path: path.read_bytes() for path in paths}


def half_erased(file: Path) -> None:
    """Nothing of it counts any more, and some of what was sealed is still there."""
    file.touch()
    records = RecordsFile(file, 0)
    records.append(b"sealed")
    records._write_head(0)
    records.close()


def unlocked(path: Path) -> Path:
    """One that may be written to."""
    path.chmod(0o644)
    return path


async def test_it_is_whole(made: Cluster) -> None:
    """However often it is started; nothing of it changes."""
    folder = made.nodes[3].folder
    before = files_of(folder)
    assert [await again(made) for _ in range(2)] == [NATIVE] * 2
    assert files_of(folder) == before
    assert not any(secrets_in(folder))


async def test_killed_while_its_records_were_erased(made: Cluster) -> None:
    folder = made.nodes[3].folder
    ((file, _),) = files_in(folder)
    half_erased(file)
    assert await again(made) == NATIVE
    assert not any(secrets_in(folder))


def spoil_deposits(folder: Path) -> None:
    file = unlocked(folder / "deposit-data.json")
    file.write_text(file.read_text().replace("0", "1"))


def spoil_keystore(folder: Path) -> None:
    """Another one of the folder in its place."""
    for pattern in ("*.json", "*.txt"):
        first, second, *_ = sorted((folder / KEYSTORES).glob(pattern))
        unlocked(first).write_bytes(second.read_bytes())


def lose_keystores(folder: Path) -> None:
    rmtree(folder / KEYSTORES)


def spoil_lock(folder: Path) -> None:
    """Of the same definition, and what all have signed is something else."""
    file = unlocked(folder / LOCK_FILE)
    text = file.read_text()
    at = text.index('"signature_aggregate"')
    file.write_text(text[:at] + text[at:].replace("a", "b", 2))


@pytest.mark.parametrize("spoil", [spoil_deposits, spoil_keystore, lose_keystores, spoil_lock])
async def test_it_is_not_whole(made: Cluster, spoil: Callable[[Path], None]) -> None:
    """It says so, and not that new keys are to be made."""
    folder = made.nodes[3].folder
    spoil(folder)
    with pytest.raises(CeremonyError, match="the keys of this definition are made, and all nodes"):
        await again(made)


async def test_the_validator_client_has_the_key_shares(made: Cluster) -> None:
    """So they are not looked for here, where one is named."""
    folder = made.nodes[3].folder
    agreement = await read_agreement(str(made.file), verify=True)
    store = NodeStore(folder, CHEAP, keymanager=Keymanager("http://127.0.0.1:1", "token"))
    verify_finished(store, agreement, 3, None, lock_hashes=())
    lose_keystores(folder)
    verify_finished(store, agreement, 3, None, lock_hashes=())
    with pytest.raises(CeremonyError, match="not what all nodes have stored; the keys of this definition"):
        verify_finished(store, agreement, 3, None, lock_hashes=[bytes(32)])


async def test_the_lock_of_another_cluster(made: Cluster, tmp_path: Path) -> None:
    """It is refused before anybody is told anything else, as is any folder that is not empty."""
    (tmp_path / "other").mkdir()
    other = Cluster(tmp_path / "other")
    (other.nodes[3].folder / LOCK_FILE).write_bytes((made.nodes[3].folder / LOCK_FILE).read_bytes())
    with pytest.raises(CeremonyFailedError, match=r"cluster-lock\.json: is there already; move it away"):
        await again(other)


async def test_what_waits_is_not_passed_over(made: Cluster) -> None:
    """Complete files of which nobody knows, beside a lock: people decide, as before."""
    folder = made.nodes[3].folder
    (folder / WRITTEN).mkdir()
    with pytest.raises(CeremonyFailedError, match="key shares of a ceremony that has not ended"):
        await again(made)


async def test_who_begins_anew_is_told(made: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has lost its folder, but for its key: nobody is waited for in vain, nor are keys made again."""
    folder = made.nodes[0].folder
    secret = (folder / KEY_FILE).read_bytes()
    rmtree(folder)
    folder.mkdir()
    (folder / KEY_FILE).write_bytes(secret)
    (folder / KEY_FILE).chmod(0o600)
    agreement = await read_agreement(str(made.file), verify=True)
    RecordsFile.open(folder, agreement.definition.definition_hash).close()  # the next is 1, as node 3's
    flush = Mailbox.flush

    async def wait_at_node_3(mailbox: Mailbox, seconds: float, **which: Any) -> None:
        if mailbox._position == 3:
            await flush(mailbox, PATIENCE_SECONDS, **which)

    monkeypatch.setattr(Mailbox, "flush", wait_at_node_3)
    anew = asyncio.create_task(again(made, 0, FOR_EVER))
    ended = asyncio.create_task(again(made))
    with pytest.raises(CeremonyFailedError, match="operator 3 cannot take part: this ceremony has ended"):
        await anew
    ended.cancel()  # it waits for the others, too
    await asyncio.wait([ended])


def test_frost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process was killed before the sealed keys were erased: now they are, and those of other keys stay."""
    ceremony, remove = Ceremony(tmp_path), RecordsFile.remove
    last = ceremony.cluster.nodes[3].folder
    hash_ = ceremony.cluster.definition.definition_hash
    records_file.keep_keys(last, hash_, b"whatever").close()
    with monkeypatch.context() as patched:
        patched.setattr(RecordsFile, "remove", lambda file: None)
        assert asyncio.run(run_frost(ceremony)) == ["frost v1.11"] * 4
    before = files_of(last)
    other, sealed = kept_in(last)
    copytree(last, tmp_path / "first")
    for protocol, agent in (("auto", "dvtfast"), (FROST, agent_of(FROST))):
        assert asyncio.run(ceremony.node(3, agent=agent, protocol=protocol)) == FROST
        assert kept_in(last) == [other]
    assert files_of(last) == before
    assert not kept_receipts(last, hash_)
    # Killed before it was published, too, or in the middle of erasing.
    half_erased(sealed)
    monkeypatch.setattr(RecordsFile, "remove", remove)
    assert asyncio.run(ceremony.node(3, agent="dvtfast")) == FROST
    assert kept_in(last) == [other]


class Agreed:
    """Operators of SSV, and the files of one of them."""

    def __init__(self, agreement: ClusterAgreement) -> None:
        self.keys = {operator_id: ssv.generate_operator_key() for operator_id in (2, 3, 5, 7)}
        operators = {each: key.public_key for each, key in self.keys.items()}
        self.terms = SsvTerms(operators, bytes(range(20)), 7)
        self.agreement = ClusterAgreement(
            agreement.definition, agreement.network, agreement.node_keys, agreement.amounts_gwei, self.terms
        )


async def test_keyshares_are_of_a_definition_that_all_have_ended(tmp_path: Path) -> None:
    """The file names none: so it takes that all nodes have said so, of what is in it."""
    cluster = Cluster(tmp_path)
    agreed = Agreed(await read_agreement(str(cluster.file), verify=True))
    folder = cluster.nodes[1].folder
    keys = generate_secret_keys(3)
    shares = split_secret_keys(keys, threshold=3, share_indices=agreed.terms.ids)
    validators = ssv.build_key_shares(
        keys, shares, agreed.terms.operators, owner_address=agreed.terms.owner, first_nonce=7
    )
    assert not is_of(folder, agreed.agreement, told=True)
    write_ssv_keyshares(folder / "keyshares.json", validators, agreed.terms.operators)
    assert [is_of(folder, agreed.agreement, told=told) for told in (False, True)] == [False, True]
    store = NodeStore(folder, CHEAP)
    with pytest.raises(CeremonyError, match="deposit-data"):
        verify_finished(store, agreed.agreement, 1, agreed.keys[3], lock_hashes=[bytes(32)])
    with pytest.raises(CeremonyError, match=r"keyshares\.json"):  # the key of another operator
        verify_finished(store, agreed.agreement, 1, agreed.keys[2], lock_hashes=[bytes(32)])
