"""The same files for a cluster of SSV operators: keyshares, and each operator's RSA key."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvtfast import generate_secret_keys, split_secret_keys, ssv

from ..settings import DemoSettings
from .cluster import ADDRESS_BYTES, DemoCluster, Oracles, files_of_operator

LARGEST_OPERATOR_ID = 2_000  # about as many as there are
PASSWORD_BYTES = 16


@dataclass(frozen=True)
class SsvOperators:
    """Whose cluster it is.

    Attributes:
        keys: by operator id, ascending.
        folders: of each, `operator-{id}`.
        key_options: how a program is told of each one's key.
    """

    keys: dict[int, ssv.OperatorKey]
    folders: tuple[Path, ...]
    key_options: tuple[tuple[str, ...], ...]

    @property
    def public_keys(self) -> dict[int, ssv.OperatorPublicKey]:
        """By operator id, ascending."""
        return {operator_id: key.public_key for operator_id, key in self.keys.items()}


def make_operators(settings: DemoSettings, directory: Path) -> SsvOperators:
    """Operators with any ids; every second one has its key in plain text, the others in a keystore."""
    ids = sorted(secrets.SystemRandom().sample(range(1, LARGEST_OPERATOR_ID + 1), settings.nodes))
    keys = {operator_id: ssv.generate_operator_key() for operator_id in ids}
    folders = tuple(directory / f"operator-{operator_id}" for operator_id in ids)
    options = []
    for place, (folder, key) in enumerate(zip(folders, keys.values(), strict=True)):
        folder.mkdir()
        options.append(_write_key(folder, key, encrypted=place % 2 == 0))
    return SsvOperators(keys, folders, tuple(options))


def ssv_cluster(operators: SsvOperators, keyshares: Path, **others: Any) -> DemoCluster:
    """The cluster of these operators.

    Args:
        others: attributes of it that do not come of them.
    """
    return DemoCluster(
        directories=operators.folders,
        relayer_options=("--ssv-keyshares", str(keyshares)),
        sidecar_options=tuple(
            ("--ssv-keyshares", str(keyshares), "--ssv-operator-id", str(operator_id), *options)
            for operator_id, options in zip(operators.keys, operators.key_options, strict=True)
        ),
        **others,
    )


def make_ssv_cluster(
    settings: DemoSettings, directory: Path, *, vault: bytes | None = None, oracles: Oracles | None = None
) -> DemoCluster:
    """Make all files below `directory`: one `operator-{id}` for each as SSV's node has it, and the owner's.

    The other arguments are those of `make_cluster`.
    """
    operators = make_operators(settings, directory)
    secret_keys, owner = generate_secret_keys(settings.validators), os.urandom(ADDRESS_BYTES)
    validators = ssv.build_key_shares(
        secret_keys,
        split_secret_keys(secret_keys, threshold=settings.threshold, share_indices=tuple(operators.keys)),
        operators.public_keys,
        owner_address=owner,
    )
    keyshares = directory / "keyshares.json"
    ssv.write_keyshares(keyshares, validators, operators.public_keys)
    files = files_of_operator(settings, directory, secret_keys, vault or owner, oracles)
    return ssv_cluster(operators, keyshares, secret_keys=secret_keys, **files)


def _write_key(folder: Path, key: ssv.OperatorKey, *, encrypted: bool) -> tuple[str, ...]:
    """Write an operator's key; the options that name it."""
    if not encrypted:
        ssv.write_operator_key(folder / "private_key", key)
        return "--ssv-operator-key", str(folder / "private_key")
    password = secrets.token_hex(PASSWORD_BYTES)
    (folder / "password").write_text(password)
    ssv.write_operator_key(folder / "encrypted_private_key.json", key, password, older_name=True)
    return (
        *("--ssv-operator-key", str(folder / "encrypted_private_key.json")),
        *("--ssv-operator-password-file", str(folder / "password")),
    )
