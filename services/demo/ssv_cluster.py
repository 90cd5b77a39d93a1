"""The same files for a cluster of SSV operators: keyshares, and each operator's RSA key."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dvtfast import generate_secret_keys, split_secret_keys, ssv

from ..settings import DemoSettings
from .cluster import ADDRESS_BYTES, DemoCluster, Oracles, files_of_operator

LARGEST_OPERATOR_ID = 2_000  # about as many as there are
PASSWORD_BYTES = 16


def make_ssv_cluster(
    settings: DemoSettings, directory: Path, *, vault: bytes | None = None, oracles: Oracles | None = None
) -> DemoCluster:
    """Make all files below `directory`: one `operator-{id}` for each as SSV's node has it, and the owner's.

    Every second operator has its key in plain text, the others in a keystore. The other
    arguments are those of `make_cluster`.
    """
    ids = sorted(secrets.SystemRandom().sample(range(1, LARGEST_OPERATOR_ID + 1), settings.nodes))
    keys = {operator_id: ssv.generate_operator_key() for operator_id in ids}
    secret_keys = generate_secret_keys(settings.validators)
    owner = os.urandom(ADDRESS_BYTES)
    public_keys = {operator_id: key.public_key for operator_id, key in keys.items()}
    validators = ssv.build_key_shares(
        secret_keys,
        split_secret_keys(secret_keys, threshold=settings.threshold, share_indices=ids),
        public_keys,
        owner_address=owner,
    )
    keyshares = directory / "keyshares.json"
    ssv.write_keyshares(keyshares, validators, public_keys)
    folders = tuple(directory / f"operator-{operator_id}" for operator_id in ids)
    options = []
    for place, (folder, (operator_id, key)) in enumerate(zip(folders, keys.items(), strict=True)):
        folder.mkdir()
        where = _write_key(folder, key, encrypted=place % 2 == 0)
        options.append(
            ("--ssv-keyshares", str(keyshares), "--ssv-operator-id", str(operator_id), *map(str, where))
        )
    return DemoCluster(
        directories=folders,
        relayer_options=("--ssv-keyshares", str(keyshares)),
        sidecar_options=tuple(options),
        secret_keys=secret_keys,
        **files_of_operator(settings, directory, secret_keys, vault or owner, oracles),
    )


def _write_key(folder: Path, key: ssv.OperatorKey, *, encrypted: bool) -> tuple[str | Path, ...]:
    """Write an operator's key; the options that name it."""
    if not encrypted:
        ssv.write_operator_key(folder / "private_key", key)
        return "--ssv-operator-key", folder / "private_key"
    password = secrets.token_hex(PASSWORD_BYTES)
    (folder / "password").write_text(password)
    ssv.write_operator_key(folder / "encrypted_private_key.json", key, password, older_name=True)
    return (
        *("--ssv-operator-key", folder / "encrypted_private_key.json"),
        *("--ssv-operator-password-file", folder / "password"),
    )
