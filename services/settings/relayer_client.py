"""What every client of a relayer can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvtfast.networks import Network

from ..relayer_client.access import Access, Credentials, TokenFileError
from ..web.tls import Certificate, CertificateError
from . import parsing, shared
from .sources import Settings, setting

LONGEST_WAIT_SECONDS = 20.0  # for a change at the relayer; proxies end what is silent for longer


def _for_relayers(flag: str, help: str) -> Any:
    text = f"{help} Once for all relayers, or once for each, in the order of --relayer."
    return setting(flag, parsing.file, text, many=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelayerClientSettings(Settings):
    """What every client of a relayer can be told."""

    network: Network = shared.network("The network of the validators; the relayer must serve the same.")
    relayer_timeout: float = setting(
        "--relayer-timeout",
        parsing.seconds,
        "How long one request to the relayer may take.",
        default="10",
        also=["RELAYER_TIMEOUT"],
    )
    poll_interval: float = setting(
        "--poll-interval",
        parsing.seconds,
        "The pause between two looks at a relayer that cannot tell when something changes.",
        default="1",
        also=["POLL_INTERVAL"],
    )

    token_files: tuple[Path, ...] = _for_relayers(
        "--relayer-token-file",
        "The file with the token that the relayer made for this program; read again when it changes.",
    )
    relayer_cas: tuple[Path, ...] = _for_relayers(
        "--relayer-ca", "The CA (PEM) of the relayer's certificate; the system's when not set."
    )
    client_certificates: tuple[Path, ...] = _for_relayers(
        "--relayer-client-cert",
        "The certificate (PEM, with its chain) that this program shows the relayer; loaded again when it"
        " changes.",
    )
    client_keys: tuple[Path, ...] = _for_relayers(
        "--relayer-client-key", "The key (PEM) of that certificate."
    )

    allow_plain_http: bool = shared.allow_plain_http()

    @property
    def addresses(self) -> Sequence[str]:
        """The relayers, in the order in which they were named."""
        raise NotImplementedError

    def accesses(self) -> list[Access]:
        """What each relayer is shown; in the order of `addresses`."""
        certificates: list[Certificate | None] = [
            Certificate(chain, key) if chain and key else None
            for chain, key in zip(
                self._of_each(self.client_certificates), self._of_each(self.client_keys), strict=True
            )
        ]
        files = self._of_each(self.token_files), self._of_each(self.relayer_cas), certificates
        return [Access(*of_one) for of_one in zip(*files, strict=True)]

    def problems(self) -> list[str]:
        """What is for relayers is given once for all, or once for each."""
        names = {field: source.name for field, source in self.sources().items()}
        count = len(self.addresses)
        problems = [
            f"{names[field]}: expected one for all relayers, or one for each of {count}, got {got}"
            for field in ("token_files", "relayer_cas", "client_certificates", "client_keys")
            if count and (got := len(getattr(self, field))) not in (0, 1, count)
        ]
        if len(self.client_certificates) != len(self.client_keys):
            problems.append(f"{names['client_certificates']}: needs as many {names['client_keys']}")
        if self.token_files and any(parsing.has_password(address) for address in self.addresses):
            problems.append(f"{names['token_files']}: not together with a token in a relayer's address")
        relayers = next(field for field in ("relayers", "relayer") if field in names)
        problems += shared.in_the_clear(self, with_tokens=relayers if self.token_files else "")
        return problems or self._files_problems()

    def _files_problems(self) -> list[str]:
        """What cannot be used, whichever relayer it is for."""
        problems: dict[str, None] = {}
        for access in self.accesses():
            try:
                Credentials(access).headers()
            except (CertificateError, TokenFileError) as error:
                problems[str(error)] = None
        return list(problems)

    def _of_each(self, given: Sequence[Path]) -> Sequence[Path | None]:
        """What is given once is for all."""
        count = len(self.addresses)
        return given if len(given) == count else [given[0] if given else None] * count

    @property
    def wait_seconds(self) -> float:
        """How long a relayer is asked to wait for a change; a part of what a request may take."""
        return min(self.relayer_timeout / 2, LONGEST_WAIT_SECONDS)
