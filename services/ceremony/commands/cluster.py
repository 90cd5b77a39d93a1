"""`dvtfast create cluster`: this machine makes a cluster, and knows all of its keys."""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray

from dvtfast.keystores import PBKDF2_DEFAULT, PBKDF2_INSECURE
from dvtfast.obol import broken_rules, make_cluster_definition

from ...settings import CreateClusterSettings
from ..dealing import deal, new_node_keys, operators_of, write_folders
from ..errors import CeremonyError
from ..folder import Cost
from ..staging import Left, Staging
from .existing import STOP_THE_OLD, secret_keys_for
from .proposal import addresses_for, threshold_of
from .terminal import run

ONE_MACHINE_KNEW = """\
ONE MACHINE KNEW ALL KEYS: this one has had every validator's key whole, and every share of it. Whoever
could read its memory or these folders can do alone what only {threshold} of {nodes} nodes should. Use it for
tests, and to move validators that there are; for new ones that are to be safe, let the cluster make its
keys: `dvtfast create dkg` and `dvtfast dkg`. Bring each folder to its node, and remove it here."""


def create(settings: CreateClusterSettings) -> int:
    """Make the folders of all nodes."""
    return run(lambda: _create(settings))


def _create(settings: CreateClusterSettings) -> int:
    if Staging(settings.cluster_dir).settle() is Left.PUBLISHED:
        click.echo(f"what was begun before is whole now, in {settings.cluster_dir}")
        return 0
    secret_keys = _secret_keys(settings)
    n = len(secret_keys)
    try:
        node_keys = new_node_keys(settings.nodes)
        definition = make_cluster_definition(
            network=settings.network,
            operators=operators_of(node_keys),
            threshold=threshold_of(settings, settings.nodes),
            fee_recipients=addresses_for(settings.fee_recipient_addresses, n),
            withdrawal_addresses=addresses_for(settings.withdrawal_addresses, n),
            name=settings.name,
            deposit_amounts_gwei=settings.deposit_amounts,
            consensus_protocol=settings.consensus_protocol,
            target_gas_limit=settings.target_gas_limit,
            compounding=settings.compounding,
        )
        if broken := broken_rules(definition):
            raise CeremonyError("; ".join(broken))
        dealt = deal(definition, secret_keys, node_keys, settings.network, threads=settings.threads)
    finally:
        secret_keys.fill(0)
    kdf = PBKDF2_INSECURE if settings.insecure_keys else PBKDF2_DEFAULT
    try:
        folders = write_folders(
            settings.cluster_dir, dealt, Cost(kdf, settings.one_derivation, settings.threads)
        )
    finally:
        dealt.wipe()
    click.echo(f"{n} validators on {settings.network.name}: {folders[0]} to {folders[-1].name}")
    click.echo(ONE_MACHINE_KNEW.format(threshold=definition.threshold, nodes=settings.nodes), err=True)
    if settings.split_keys_dir:
        click.echo(STOP_THE_OLD, err=True)
    return 0


def _secret_keys(settings: CreateClusterSettings) -> NDArray[np.uint8]:
    """New ones, or those that are to be split, of which it is known now how many there are."""
    directory = settings.split_keys_dir
    keys = secret_keys_for(directory, settings.num_validators, settings.threads)
    for name, addresses in (
        ("--fee-recipient-addresses", settings.fee_recipient_addresses),
        ("--withdrawal-addresses", settings.withdrawal_addresses),
    ):
        if len(addresses) not in (1, len(keys)):
            count = len(keys)
            keys.fill(0)
            raise CeremonyError(f"{name}: expected 1 or {count} addresses, one a validator of {directory}")
    return keys
