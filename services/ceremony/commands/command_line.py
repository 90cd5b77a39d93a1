"""`dvtfast create` and `dvtfast combine`. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ...command import PATH, Command, Commands
from ...settings import (
    CombineSettings,
    CreateClusterSettings,
    CreateDkgSettings,
    CreateEnrSettings,
    CreateKeysharesSettings,
    DkgSettings,
    RecoverSettings,
    VerifyBlameSettings,
    options,
)


@click.group(cls=Commands)
def create() -> None:
    """Make what a cluster begins with: a node's key, a definition to agree on; or all of it, as a dealer.

    Flags are those of charon, and its CHARON_ variables are understood, too.
    """


@create.command(name="enr", short_help="Make a node's key, and print its record")
@options(CreateEnrSettings)
def create_enr(settings: CreateEnrSettings) -> None:
    """Make the key of a node, and print its record (ENR), by which a definition names it.

    \b
    dvtfast create enr --data-dir .charon
    """
    from .enr import create

    raise SystemExit(create(settings))


@create.command(name="dkg", short_help="Write the definition that operators agree on")
@options(CreateDkgSettings)
def create_dkg(settings: CreateDkgSettings) -> None:
    """Write the definition of a new cluster, v1.10: what its operators agree on before it makes its keys.

    \b
    dvtfast create dkg --network hoodi --num-validators 100 \\
        --operator-enrs enr:-...,enr:-...,enr:-...,enr:-... \\
        --fee-recipient-addresses 0x... --withdrawal-addresses 0x...
    """
    from .proposal import create

    raise SystemExit(create(settings))


@create.command(name="cluster", short_help="Make all nodes' folders, as a dealer")
@options(CreateClusterSettings)
def create_cluster(settings: CreateClusterSettings) -> None:
    """Make the folders of all nodes of a cluster on this machine, which then knew all keys whole.

    For tests, and to move validators that there are (--split-existing-keys). New validators are safer
    with `create dkg`.

    \b
    dvtfast create cluster --network hoodi --nodes 4 --num-validators 10 \\
        --fee-recipient-addresses 0x... --withdrawal-addresses 0x... \\
        --cluster-dir cluster
    """
    from .cluster import create

    raise SystemExit(create(settings))


@create.command(name="keyshares", short_help="Split keys for SSV operators, as a dealer")
@options(CreateKeysharesSettings)
def create_keyshares(settings: CreateKeysharesSettings) -> None:
    """Make keyshares.json and deposit data for SSV operators on this machine, which then knew all keys whole.

    \b
    dvtfast create keyshares --network hoodi --ssv-operators operators.json \\
        --ssv-owner 0x... --ssv-owner-nonce 12 --withdrawal-addresses 0x...
    """
    from .keyshares import create

    raise SystemExit(create(settings))


@click.command(cls=Command)
@options(CombineSettings)
def combine(settings: CombineSettings) -> None:
    """Make whole keys of the folders of enough nodes, which ends a cluster; explains, and asks twice.

    \b
    dvtfast combine --cluster-dir folders --output-dir validator_keys
    """
    from .combining import combine as run

    raise SystemExit(run(settings))


@click.group(cls=Commands, invoke_without_command=True)
@options(DkgSettings)
def dkg(settings: DkgSettings) -> None:
    """Make this node's keys together with the other nodes of a definition: nobody ever has a key whole.

    All nodes run it at the same time. Flags are those of charon, and its CHARON_ variables are understood,
    too.

    It ends with 0 when all have their keys; 1, 3 or 4: there are none, by this node's fault, by proof against
    another, or as one is silent; 5: this node waits for word of the others, start it again; 6: the keys are
    made, but not in their place, as where the validator client did not take them, start it again.

    \b
    dvtfast dkg --data-dir .charon --definition-file cluster-definition.json
    """
    from .key_generation import run_dkg

    raise SystemExit(run_dkg(settings))


@dkg.command(name="verify-blame", short_help="Judge what proves who is at fault")
@click.argument("file", type=PATH)
@options(VerifyBlameSettings)
def verify_blame(settings: VerifyBlameSettings, file: Path) -> None:
    """Judge the evidence that a node wrote when a ceremony failed: who is at fault, if it proves that.

    \b
    dvtfast dkg verify-blame dkg-blame-0-0.json \\
        --definition-file cluster-definition.json
    """
    from .key_generation import verify_blame as run

    raise SystemExit(run(settings, file))


@dkg.command(name="recover", short_help="Open key shares that were set aside")
@click.argument("file", type=PATH)
@options(RecoverSettings)
def recover(settings: RecoverSettings, file: Path) -> None:
    """Write the key shares of an attempt that ended when somebody might have signatures by its keys.

    They are wanted if validators with these keys turn up: a lock, or a deposit, that only another node has.

    \b
    dvtfast dkg recover .charon/.dvtfast-dkg/0123456789abcdef-0.aside \\
        --lock-file cluster-lock.json --output-dir recovered
    """
    from .recovery import recover as run

    raise SystemExit(run(settings, file))
