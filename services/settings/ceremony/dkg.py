"""A node's part in a key generation ceremony."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from .. import parsing, shared
from ..charon import CharonSettings, charon
from ..p2p import hosts
from ..sources import Settings, setting
from . import texts

RELAYS = "https://4.relay.obol.dev"  # Obol's, as charon has it


def definition_file() -> Any:
    """What a cluster agreed on."""
    return charon(
        "--definition-file",
        parsing.text,
        "The definition of the cluster: a file, or an address that has it.",
        default=".charon/cluster-definition.json",
        metavar="FILE|URL",
    )


def insecure_keys() -> Any:
    """Keystores of no cost."""
    return charon(
        "--insecure-keys",
        parsing.switch,
        "Keystores that are made at once and protect nothing, for tests.",
        default="false",
    )


def ssv_operators() -> Any:
    """Who a cluster of SSV is."""
    return setting(
        "--ssv-operators",
        parsing.file,
        "Make keys for a cluster of SSV: its operators, who in the order of their ids are the nodes of the"
        " definition; a JSON list of objects with id and public_key, the same at all nodes.",
        optional=True,
        metavar="FILE",
    )


def ssv_owner() -> Any:
    """Who registers its validators."""
    return setting(
        "--ssv-owner",
        parsing.address,
        "With --ssv-operators: the account that will register the validators.",
        optional=True,
        metavar="ADDRESS",
    )


def ssv_owner_nonce() -> Any:
    """For which nonce the first of them is signed."""
    return setting(
        "--ssv-owner-nonce",
        parsing.integer,
        "How many validators that account has registered before, failed ones too.",
        default="0",
        metavar="N",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyBlameSettings(Settings):
    """What `dvtfast dkg verify-blame` can be told."""

    definition_file: str = definition_file()
    ssv_operators: Path | None = ssv_operators()
    ssv_owner: bytes | None = ssv_owner()
    ssv_owner_nonce: int = ssv_owner_nonce()
    no_verify: bool = shared.no_verify()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecoverSettings(Settings):
    """What `dvtfast dkg recover` can be told."""

    data_dir: Path = charon(
        "--data-dir",
        parsing.path,
        "The node's folder: its key is in it, which opens the file.",
        default=".charon",
        metavar="DIR",
    )
    definition_file: str = definition_file()
    output_dir: Path = charon(
        "--output-dir",
        parsing.path,
        "Where key shares and lock are written, a new directory.",
        default="recovered",
        metavar="DIR",
    )
    lock_file: Path | None = charon(
        "--lock-file",
        parsing.file,
        "A lock with these keys that somebody has: it is verified, and the folder is whole.",
        optional=True,
        metavar="FILE",
    )
    insecure_keys: bool = insecure_keys()
    one_derivation: bool = shared.one_derivation()
    no_verify: bool = shared.no_verify()
    threads: int | None = shared.threads()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DkgSettings(CharonSettings):
    """What `dvtfast dkg` can be told."""

    data_dir: Path = charon(
        "--data-dir",
        parsing.path,
        "The node's folder: its key is in it, its key shares will be.",
        default=".charon",
        metavar="DIR",
    )
    definition_file: str = definition_file()
    no_verify: bool = shared.no_verify()
    p2p_relays: tuple[str, ...] = hosts.relays(f"{RELAYS} when not set and there is no --peer-address.")
    p2p_tcp_address: tuple[tuple[str, int], ...] = hosts.tcp_address(
        "Addresses and ports to listen on, for nodes that are told of it; nobody but relays when not set."
    )
    peer_addresses: tuple[tuple[int, str, int], ...] = setting(
        "--peer-address",
        texts.peer_address,
        "Where another node listens: its position in the definition, from 0.",
        many=True,
        metavar="POSITION=HOST:PORT",
    )
    protocol: str = setting(
        "--protocol",
        texts.protocol,
        "How keys are made: natively, as charon does (frost), or as all nodes can (auto), which is natively"
        " where stake is worth something.",
        default="auto",
        metavar="auto|native|frost",
    )
    execution_endpoints: tuple[str, ...] = shared.execution_endpoints(
        "what contracts have signed in the definition"
    )
    keymanager_address: str | None = charon(
        "--keymanager-address",
        parsing.url,
        "A validator client that takes the keystores, by the keymanager API; they are not left on the disk.",
        optional=True,
        metavar="URL",
    )
    keymanager_auth_token: str | None = charon(
        "--keymanager-auth-token",
        parsing.text,
        "What the keymanager API asks for.",
        optional=True,
        metavar="TOKEN",
    )
    ssv_operators: Path | None = ssv_operators()
    ssv_owner: bytes | None = ssv_owner()
    ssv_owner_nonce: int = ssv_owner_nonce()
    ssv_operator_key: Path | None = setting(
        "--ssv-operator-key",
        parsing.file,
        "With --ssv-operators: this operator's RSA key, to which its key shares are encrypted.",
        optional=True,
        metavar="FILE",
    )
    ssv_operator_password: Path | None = setting(
        "--ssv-operator-password-file",
        parsing.file,
        "The file with the password of an encrypted key.",
        optional=True,
        metavar="FILE",
    )
    join_timeout: float = setting(
        "--join-timeout",
        parsing.seconds,
        "How many seconds the others may take until all are there.",
        default="3600",
        metavar="SECONDS",
    )
    silence_timeout: float = setting(
        "--silence-timeout",
        parsing.seconds,
        "For how many seconds a node may say nothing, once all were there.",
        default="120",
        metavar="SECONDS",
    )
    insecure_keys: bool = insecure_keys()
    one_derivation: bool = shared.one_derivation()
    json: bool = shared.json()
    threads: int | None = shared.threads()

    def problems(self) -> list[str]:
        """A keymanager has a token."""
        names = {field: source.name for field, source in self.sources().items()}
        found = super().problems()
        if (self.keymanager_address is None) != (self.keymanager_auth_token is None):
            found.append(
                f"{names['keymanager_address']}, {names['keymanager_auth_token']}: expected both, or none"
            )
        names_of_ssv = ("ssv_operators", "ssv_owner", "ssv_operator_key")
        given = [getattr(self, name) is not None for name in names_of_ssv]
        if any(given) and not all(given):
            found.append(f"{', '.join(names[name] for name in names_of_ssv)}: expected all, or none")
        if any(given) and self.protocol == "frost":
            found.append(f"{names['protocol']}: charon makes no keys for SSV")
        if any(given) and self.keymanager_address is not None:
            found.append(f"{names['keymanager_address']}: those of SSV have their shares in keyshares.json")
        return found
