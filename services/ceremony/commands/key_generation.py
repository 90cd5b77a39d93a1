"""`dvtfast dkg`: this node makes its keys with the others; and who is at fault when there are none."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from time import monotonic
from typing import Any

import click
import msgspec

from dvtfast import DvtfastError
from dvtfast.dkg.dvtfast_dkg.blame.judging import EvidenceError, UndecidedError, judge_evidence
from dvtfast.files import read_bytes
from dvtfast.obol import KEY_FILE, read_node_key

from ...chain.encoding import write_data
from ...files import paths
from ...p2p.errors import P2PError
from ...p2p.host import Host, IdentityKey
from ...process.hardening import forbid_dumps
from ...process.key_lock import KeyLock, KeyTakenError
from ...process.logs import printable
from ...settings import DkgSettings, SettingsError, VerifyBlameSettings
from ...settings.ceremony import INSECURE_NETWORKS, RELAYS
from ..definition import ClusterAgreement, read_agreement
from ..errors import CeremonyError, CeremonyFailedError, UnpublishedError
from ..folder import MOST_FILE_BYTES
from ..keymanager import check_keymanager
from ..protocol import NATIVE, agent_of, make_keys, protocol_of
from ..running.driver import Patience
from ..running.running import Participant, plan_of, terms_of
from ..staging import WRITTEN
from ..storing import Keymanager, NodeStore
from .costs import cost_of
from .ssv_operators import operator_key_of, with_ssv
from .table import CeremonyTable

DONE, FAILED, CHEATED, SILENT, UNCONFIRMED, UNPUBLISHED = 0, 1, 3, 4, 5, 6
BLAME_FILE = "dkg-blame-{attempt}-{number}.json"
MOST_BLAME_BYTES = 1024**3
GO_ON = "start again with the same command: it goes on where it ended, also after a crash"
STORED_HERE = "what this node has is in {path}; ask the others whether they have a lock: docs/dkg.md"
KEYS_ARE_HERE = (
    "all nodes have stored their keys, and this node's are in {path}, not yet where they are to be: once"
    " that is mended, start again with the same command, which needs nobody for it"
)
BEGIN_ANEW = "once that is mended, all start again with the same command, for new keys"


class Blame(msgspec.Struct):
    """What proves to others who is at fault; the definition says of which cluster."""

    definition_hash: str
    culprit: int
    reason: str
    evidence: bytes  # base64 in JSON


class _LockHash(msgspec.Struct):
    lock_hash: str


def run_dkg(settings: DkgSettings) -> int:
    """Take part in a ceremony; its exit code."""
    forbid_dumps()
    begin = monotonic()
    try:
        return asyncio.run(_run(settings, begin))
    except UnpublishedError as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        click.echo(f"not over; {KEYS_ARE_HERE.format(path=settings.data_dir)}", err=True)
        return UNPUBLISHED
    except (CeremonyError, KeyTakenError, DvtfastError, P2PError, OSError, SettingsError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return FAILED


async def _run(settings: DkgSettings, begin: float) -> int:
    agreement = await read_agreement(
        settings.definition_file,
        verify=not settings.no_verify,
        execution_endpoints=settings.execution_endpoints,
    )
    agreement = with_ssv(agreement, settings)
    definition = agreement.definition
    has_worth = agreement.network.name not in INSECURE_NETWORKS
    told = settings.protocol if agreement.ssv is None else NATIVE
    protocol = protocol_of(definition, told, has_worth=has_worth)
    cost = cost_of(settings, agreement.network)
    key_file = settings.data_dir / KEY_FILE
    secret = read_node_key(key_file)
    identity = IdentityKey(secret)
    position = agreement.node_index_of(identity.public_key)
    if has_worth:
        raise CeremonyError(
            f"{agreement.network.name}: `dvtfast dkg` is new, and only for where stake is worth nothing"
            f" yet: {', '.join(INSECURE_NETWORKS)}; charon's ceremony is for the others"
        )
    keymanager = _keymanager_of(settings)
    operator_key = operator_key_of(agreement, settings, position)
    node = Participant(settings.data_dir, secret, await _trouble_with(keymanager), operator_key)
    store = NodeStore(settings.data_dir, cost, keymanager=keymanager)
    patience = Patience(settings.join_timeout, settings.silence_timeout)
    with KeyLock(key_file, "dvtfast dkg"):
        async with Host.open(
            identity,
            peers=agreement.node_keys,
            listen=settings.p2p_tcp_address,
            relays=settings.p2p_relays or ((RELAYS,) if not settings.peer_addresses else ()),
            addresses=_addresses(agreement, settings),
            relay_headers={"Charon-Cluster": write_data(definition.definition_hash).removeprefix("0x")},
            agent=agent_of(protocol),
        ) as host:
            with CeremonyTable(agreement, position, host) as table:
                try:
                    spoken = await make_keys(
                        agreement,
                        node,
                        host,
                        protocol=protocol,
                        store=store,
                        patience=patience,
                        show=table.phase,
                    )
                except CeremonyFailedError as error:
                    table.close()
                    return _failed(error, agreement, settings, position)
    _told(settings, agreement, spoken, begin, table.seconds)
    return DONE


def _addresses(agreement: ClusterAgreement, settings: DkgSettings) -> dict[bytes, list[tuple[str, int]]]:
    """Where nodes listen: as their records say, and as we were told."""
    found: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for position, host, port in settings.peer_addresses:
        if position >= len(agreement.node_keys):
            raise CeremonyError(f"--peer-address {position}: the definition has no such node")
        found[agreement.node_keys[position]].append((host, port))
    return found


def _keymanager_of(settings: DkgSettings) -> Keymanager | None:
    if settings.keymanager_address is None or settings.keymanager_auth_token is None:
        return None
    return Keymanager(settings.keymanager_address, settings.keymanager_auth_token)


async def _trouble_with(keymanager: Keymanager | None) -> str:
    if keymanager is None:
        return ""
    try:
        await check_keymanager(keymanager.address, keymanager.token)
    except CeremonyError as error:
        return str(error)
    return ""


def _told(
    settings: DkgSettings,
    agreement: ClusterAgreement,
    spoken: str,
    begin: float,
    seconds: dict[str, float],
) -> None:
    path, of_ssv = settings.data_dir / agreement.last_file, agreement.ssv
    result: dict[str, Any] = {
        "validators": len(agreement.definition.fee_recipients),
        "nodes": len(agreement.node_keys),
        "threshold": agreement.definition.threshold,
        "protocol": spoken,
        "data_dir": str(settings.data_dir),
        "seconds": round(monotonic() - begin, 3),
        "seconds_by_step": {name: round(value, 3) for name, value in seconds.items()},
    }
    if of_ssv is None:
        result["lock_hash"] = _lock_hash_in(path)
        told = f"has key shares, lock and deposits. Lock hash {result['lock_hash']}"
    else:
        last = of_ssv.first_nonce + result["validators"] - 1
        told = f"has {path.name} and deposits; register at nonces {of_ssv.first_nonce} to {last} of the owner"
    if settings.json:
        click.echo(msgspec.json.encode(result).decode())
        return
    click.echo(
        f"{result['validators']} validators, any {result['threshold']} of {result['nodes']} nodes sign:"
        f" {settings.data_dir} {told}"
    )


def _lock_hash_in(path: Path) -> str:
    """All else in the lock is verified already, and takes long to read."""
    content = read_bytes(path, limit_bytes=MOST_FILE_BYTES)
    return msgspec.json.decode(content, type=_LockHash).lock_hash


def _failed(
    error: CeremonyFailedError, agreement: ClusterAgreement, settings: DkgSettings, position: int
) -> int:
    """What happened, who is at fault, what to do."""
    reasons = list(dict.fromkeys(abort.reason for abort in error.aborts))
    for reason in reasons:
        click.echo(f"error: {printable(reason)}", err=True)
    if names := [f"operator {each} ({_name(agreement, each)})" for each in error.culprits]:
        click.echo(f"at fault: {', '.join(names)}", err=True)
    files = _write_blame(error, agreement, settings.data_dir)
    for file in files:
        click.echo(f"evidence for others: {file}; `dvtfast dkg verify-blame {file}` judges it", err=True)
    if settings.json:
        failure = {
            "reasons": reasons,
            "culprits": error.culprits,
            "unconfirmed": error.is_unconfirmed,
            "evidence": [str(file) for file in files],
        }
        click.echo(msgspec.json.encode(failure).decode())
    if error.is_unconfirmed:
        stored = STORED_HERE.format(path=settings.data_dir / WRITTEN)
        click.echo(f"not over; {stored if error.attempt is None else GO_ON}", err=True)
        return UNCONFIRMED
    click.echo(f"no keys were made; {BEGIN_ANEW}", err=True)
    if any(abort.evidence is not None for abort in error.aborts):
        return CHEATED
    is_ours = not set(error.culprits) - {position}
    if error.attempt is None:  # charons say no more than that they end
        is_ours = error.culprits == [position]
    return FAILED if is_ours else SILENT


def _name(agreement: ClusterAgreement, position: int) -> str:
    operator = agreement.definition.operators[position]
    return operator.address or f"{operator.enr[:16]}..."


def _write_blame(error: CeremonyFailedError, agreement: ClusterAgreement, directory: Path) -> list[Path]:
    files = []
    proven = [abort for abort in error.aborts if abort.evidence is not None and abort.culprit is not None]
    for number, abort in enumerate(proven):
        path = directory / BLAME_FILE.format(attempt=error.attempt, number=number)
        assert abort.evidence is not None
        assert abort.culprit is not None
        blame = Blame(
            write_data(agreement.definition.definition_hash), abort.culprit, abort.reason, abort.evidence
        )
        try:
            path.write_bytes(msgspec.json.encode(blame))
        except OSError as problem:
            click.echo(f"error: {paths.told(problem)}", err=True)
        else:
            files.append(path)
    return files


def verify_blame(settings: VerifyBlameSettings, file: Path) -> int:
    """Judge an evidence: 0 when it proves that somebody is at fault."""
    try:
        blame, agreement = asyncio.run(_read_blame(settings, file))
        verdict = judge_evidence(blame.evidence, terms_of(agreement, 0), plan=plan_of(agreement))
    except (EvidenceError, UndecidedError) as error:
        click.echo(f"{file}: proves nothing: {error}", err=True)
        return FAILED
    except (CeremonyError, DvtfastError, OSError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return FAILED
    click.echo(
        f"operator {verdict.culprit} ({_name(agreement, verdict.culprit)}) is at fault: {verdict.reason}"
    )
    return DONE


async def _read_blame(settings: VerifyBlameSettings, file: Path) -> tuple[Blame, ClusterAgreement]:
    agreement = await read_agreement(settings.definition_file, verify=not settings.no_verify)
    agreement = with_ssv(agreement, settings)
    try:
        blame = msgspec.json.decode(read_bytes(file, limit_bytes=MOST_BLAME_BYTES), type=Blame)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CeremonyError(f"{file}: no evidence of `dvtfast dkg`: {error}") from None
    if blame.definition_hash != write_data(agreement.definition.definition_hash):
        raise CeremonyError(
            f"{file}: of the definition {blame.definition_hash}; name its file with --definition-file"
        )
    return blame, agreement
