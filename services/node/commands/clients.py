"""The validator API of a node, as the settings say: where, for whom, and with which certificate."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dvtfast.files import read_text

from ...process import logs
from ...process.background import in_background, repeat
from ...settings import NodeSettings, SettingsError
from ...web.addresses import is_loopback
from ...web.http import listening
from ...web.tls import LOOK_SECONDS, Certificate, CertificateError, Renewal, server_context
from ..parts import Signer
from ..running import ClusterNode
from ..validator_api.offers import Offers
from ..validator_api.server import ValidatorApi, Watcher

SHORTEST_TOKEN: Final = 16  # characters, so that nobody guesses it
LONGEST_TOKEN: Final = 4096

log = logs.get("node")


@dataclass(frozen=True)
class ClientAccess:
    """Where validator clients come, and which of them.

    Attributes:
        token: of those that are served; empty for everybody.
        tls: None for HTTP; its certificate is renewed.
    """

    host: str
    port: int
    token: str = field(repr=False)
    tls: ssl.SSLContext | None = None
    renewal: Renewal | None = None


def read_access(settings: NodeSettings) -> ClientAccess | None:
    """What the settings say; None where no validator client is served.

    Raises:
        SettingsError, FileError: the token or the certificate cannot be used.
    """
    if settings.validator_api_address is None:
        return None
    host, port = settings.validator_api_address
    file = settings.validator_api_token_file
    token = "" if file is None else _token(file)
    tls = renewal = None
    if settings.vc_tls_cert_file is not None and settings.vc_tls_key_file is not None:
        certificate = Certificate(settings.vc_tls_cert_file, settings.vc_tls_key_file)
        try:
            tls = server_context(certificate, None)
        except CertificateError as error:
            raise SettingsError([f"--vc-tls-cert-file: {error}"]) from None
        renewal = Renewal(certificate, tls)
    if not token and not is_loopback(host):
        log.warning("everybody who reaches it is served: set --validator-api-token-file", host=host)
    elif token and tls is None and not is_loopback(host):
        log.warning("the token is sent in the clear: set --vc-tls-cert-file", host=host)
    return ClientAccess(host, port, token, tls, renewal)


@asynccontextmanager
async def serving_clients(
    access: ClientAccess, node: ClusterNode, offers: Offers, record: Signer, watcher: Watcher
) -> AsyncIterator[None]:
    """Serve validator clients inside the block; OSError where the port is taken."""
    async with AsyncExitStack() as stack:
        if access.renewal is not None:
            looking = repeat("certificate", access.renewal.look, LOOK_SECONDS)
            await stack.enter_async_context(in_background(looking))
        opened = ValidatorApi.open(node, offers, record, token=access.token, watcher=watcher)
        api = await stack.enter_async_context(opened)
        served = listening(api.application(), access.host, access.port, tls=access.tls)
        port = await stack.enter_async_context(served)
        log.info("validator clients are served", host=access.host, port=port)
        yield


def _token(file: Path) -> str:
    token = read_text(file, limit_bytes=4 * LONGEST_TOKEN).strip()
    is_one = token.isascii() and token.isprintable() and " " not in token
    if not is_one or not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
        raise SettingsError(
            [f"--validator-api-token-file: expected one token of at least {SHORTEST_TOKEN} letters in {file}"]
        )
    return token
