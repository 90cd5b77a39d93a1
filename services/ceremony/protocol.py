"""Which key generation the nodes of a ceremony speak.

Nodes of dvtfast begin with the native one. It cannot get beyond its hello before every node has said hello,
and a charon says none. So whoever sees a charon among the peers leaves it for FROST, whenever that is, and
all nodes come to the same without a word about it. What a node was told by hand is in its agent, and so
counts for all.

An agent is what a peer says of itself, perhaps not to all the same, and FROST proves less and goes on after
nothing. So one peer has that say only where stake is worth nothing, and each node says whose word it took.
Elsewhere a node speaks the native protocol alone, unless its operator or the definition, which all operators
have, says otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping

from dvtfast import DvtfastError
from dvtfast.dkg.frost.dialects import V1_11, Dialect, dialect_of
from dvtfast.dkg.outputs import Aborted, Phase
from dvtfast.obol import ClusterDefinition

from ..files import paths
from ..p2p.host import AGENT, Host
from ..process import logs
from ..process.logs import printable
from .charon_terms import WAY, forget_kept_keys, run_charon_ceremony
from .completion import is_of, verify_finished
from .definition import ClusterAgreement
from .errors import CeremonyError, CeremonyFailedError
from .folder import KEYSTORES
from .running.driver import HELLO, Patience
from .running.farewell import stored_by_all, tell_of_the_end
from .running.records_file import has_begun, use_up
from .running.running import Participant, Show, run_ceremony
from .staging import Left
from .storing import NodeStore

AUTO, NATIVE, FROST = "auto", "native", "frost"
PEDERSEN = "pedersen"
CHARON = re.compile(r"obolnetwork-charon/(\S+)")
# What nodes of dvtfast speak among themselves, when they are told to speak FROST.
OWN_DIALECT = V1_11
ROLL_CALL = "roll call"

log = logs.get("ceremony")


def agent_of(protocol: str) -> str:
    """What a node says that it is, when it was told to speak a protocol."""
    return AGENT if protocol == AUTO else f"{AGENT} {protocol}"


def dialect_among(agents: Mapping[int, str], *, count: int) -> Dialect | None:
    """The FROST that nodes speak, by what is known of their agents; None while there is no need of one.

    Args:
        agents: by position, this node's among them.
        count: of all nodes.

    Raises:
        CeremonyError: they cannot speak with each other.
    """
    charons = {position: found[1] for position, agent in agents.items() if (found := CHARON.match(agent))}
    told = {name: [at for at, agent in agents.items() if agent == agent_of(name)] for name in (NATIVE, FROST)}
    if told[NATIVE] and (others := [*charons, *told[FROST]]):
        raise CeremonyError(
            f"node {told[NATIVE][0]} speaks the native protocol alone, and node {others[0]} says that it"
            f" speaks FROST, as {printable(agents[others[0]])!r}: all operators agree on --protocol {FROST},"
            " or on none"
        )
    if charons:
        position, version = next(iter(charons.items()))
        try:
            return dialect_of(version)
        except DvtfastError as error:
            raise CeremonyError(f"node {position}, a charon: {error}") from None
    return OWN_DIALECT if told[FROST] and len(agents) == count else None


def protocol_of(definition: ClusterDefinition, told: str, *, has_worth: bool) -> str:
    """What this node speaks: what it was told, unless the definition asks for something.

    Args:
        has_worth: whether stake is worth something: no peer's word makes it FROST there.

    Raises:
        CeremonyError: that is not what it was told, or is not spoken here.
    """
    algorithm = definition.dkg_algorithm
    if algorithm == PEDERSEN:
        raise CeremonyError("dkg_algorithm: pedersen is not spoken by dvtfast; agree on a definition without")
    if algorithm == FROST and told == NATIVE:
        raise CeremonyError(f"dkg_algorithm: frost, and --protocol is {NATIVE}; leave it out")
    if algorithm == FROST:
        return FROST
    return NATIVE if told == AUTO and has_worth else told


async def make_keys(
    agreement: ClusterAgreement,
    node: Participant,
    host: Host,
    *,
    protocol: str,
    store: NodeStore,
    patience: Patience,
    show: Show,
) -> str:
    """Make keys with the nodes of a definition; what was spoken, for people.

    Where they are made already, and the folder is whole, this only ends what is left of it.

    Args:
        protocol: `auto`, `native` or `frost`, as the host's agent says.

    Raises:
        CeremonyFailedError: there are no keys.
        CeremonyError: what was recorded is not understood, or the nodes cannot speak with each other.
        UnpublishedError: all have stored their keys, and this node cannot publish its own; a later start can.
        OSError, FileError: the disk does not take what it must have.
    """
    definition_hash = agreement.definition.definition_hash
    if (done := await store.finish(definition_hash)) and done.way.startswith(WAY):
        forget_kept_keys(agreement, node)
        return done.way
    stored = stored_by_all(agreement, node)
    is_over = store.settle() is Left.NOTHING and is_of(node.directory, agreement, told=bool(stored))
    if is_over and not has_begun(node.directory, definition_hash):
        return await _end_again(agreement, node, host, store, stored)
    at_hello = asyncio.Event()

    def shown(phase: Phase) -> None:
        if phase.name == HELLO:
            at_hello.set()
        else:
            at_hello.clear()
        show(phase)

    if protocol == FROST:
        use_up(node.directory, definition_hash)
        dialect = await _when_all_are_there(agreement, host, patience, show)
    else:
        native = asyncio.create_task(
            run_ceremony(agreement, node, host, store=store, patience=patience, show=shown)
        )
        looking = asyncio.create_task(_dialect_seen(agreement, host, protocol, while_=at_hello))
        try:
            await asyncio.wait([native, looking], return_when=asyncio.FIRST_COMPLETED)
            if native.done():
                await native
                return NATIVE
        finally:
            native.cancel()
            looking.cancel()
            await asyncio.gather(native, looking, return_exceptions=True)
        dialect = looking.result()
        use_up(node.directory, definition_hash)
    log.info("a charon ceremony", dialect=dialect.version)
    await run_charon_ceremony(
        agreement, node, host, dialect=dialect, store=store, patience=patience, show=show
    )
    return WAY + dialect.version


async def _end_again(
    agreement: ClusterAgreement, node: Participant, host: Host, store: NodeStore, stored: Collection[bytes]
) -> str:
    """A process before made the keys; what it was killed over is done, and the folder verified."""
    log.info("the keys of this definition are made; verifying them, and telling who has not heard")
    position = agreement.node_index_of(host.public_key)
    await asyncio.to_thread(
        verify_finished, store, agreement, position, node.operator_key, lock_hashes=stored
    )
    if stored:
        await tell_of_the_end(agreement, node, host)
    if agreement.ssv is None and paths.is_there(node.directory / KEYSTORES):  # which were decrypted just now
        forget_kept_keys(agreement, node)
    return NATIVE if stored else FROST


async def _dialect_seen(
    agreement: ClusterAgreement,
    host: Host,
    protocol: str,
    *,
    while_: asyncio.Event,
    show: Callable[[tuple[int, ...]], None] = lambda unknown: None,
) -> Dialect:
    """The FROST that the nodes speak, as soon as that is known; looks only while an event is set."""
    positions = range(len(agreement.node_keys))
    async with host.watching() as changed:
        while True:
            changed.clear()
            await while_.wait()
            known = {state.key: state.agent for state in host.states() if state.is_connected and state.agent}
            known[host.public_key] = agent_of(protocol)
            agents = {at: known[key] for at in positions if (key := agreement.node_keys[at]) in known}
            if dialect := dialect_among(agents, count=len(positions)):
                said = {at: printable(agent) for at, agent in agents.items() if _is_frost(agent)}
                log.warning("FROST, not the native protocol: so these nodes say of themselves", nodes=said)
                return dialect
            show(tuple(at for at in positions if at not in agents))
            await changed.wait()


def _is_frost(agent: str) -> bool:
    return agent == agent_of(FROST) or CHARON.match(agent) is not None


async def _when_all_are_there(
    agreement: ClusterAgreement, host: Host, patience: Patience, show: Show
) -> Dialect:
    """The FROST to begin with: a charon's, if there is one."""
    unknown: list[int] = []

    def shown(positions: tuple[int, ...]) -> None:
        unknown[:] = positions
        show(Phase(ROLL_CALL, positions))

    always = asyncio.Event()
    always.set()
    try:
        async with asyncio.timeout(patience.join_seconds) as limit:
            return await _dialect_seen(agreement, host, FROST, while_=always, show=shown)
    except TimeoutError:
        if not limit.expired():
            raise
        reason = f"waited too long for {', '.join(f'node {at}' for at in unknown)}: {ROLL_CALL}"
        raise CeremonyFailedError([Aborted(reason, at) for at in unknown], attempt=None) from None
