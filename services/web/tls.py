"""TLS of our servers and clients: contexts, and certificates that are renewed while they are in use."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dvtfast import FileError
from dvtfast.files import ENCODINGS, read_start

from ..process import logs

MARK_BYTES = 4  # of the longest byte order mark
LOOK_SECONDS = 5.0  # between two looks whether a server's certificate was renewed

log = logs.get("tls")


class CertificateError(Exception):
    """A certificate, key or CA that cannot be used; the message names the files."""


@dataclass(frozen=True)
class Certificate:
    """A certificate with its chain, and its key, both in PEM; the key may be in the same file."""

    chain: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        """Show this certificate from the next handshake on.

        Raises:
            CertificateError: it cannot be used; the context is as before.
        """
        for file in {self.chain, self.key}:
            _require_plain(file)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.chain, self.key, _no_password)
            context.load_cert_chain(self.chain, self.key, _no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise CertificateError(f"certificate {self.chain} with key {self.key}: {reason}") from None


class Renewal:
    """Looks whether a certificate was renewed, and has its context show the new one.

    Connections that are there go on as they are.
    """

    def __init__(self, certificate: Certificate, context: ssl.SSLContext) -> None:
        self._certificate = certificate
        self._context = context
        self._state = self._fingerprint()

    async def look(self) -> None:
        """As `refresh`, for who looks again and again."""
        self.refresh()

    def refresh(self) -> None:
        """Load the certificate when its files have changed; one that cannot be used is told of, once."""
        state = self._fingerprint()
        if state == self._state:
            return
        self._state = state
        try:
            self._certificate.load_into(self._context)
        except CertificateError as error:  # perhaps only one of two files is written yet
            log.warning("renewed certificate not used, the old one goes on", error=str(error))
        else:
            log.info("certificate renewed", file=str(self._certificate.chain))

    def _fingerprint(self) -> tuple[object, ...]:
        return tuple(fingerprint(file) for file in (self._certificate.chain, self._certificate.key))


def server_context(certificate: Certificate, client_ca: Path | None) -> ssl.SSLContext:
    """For a server; with a CA, it serves only clients with a certificate of it.

    Raises:
        CertificateError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate.load_into(context)
    if client_ca is not None:
        _trust(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(ca: Path | None, certificate: Certificate | None) -> ssl.SSLContext:
    """For a client; with a CA, it trusts servers of this one only.

    Raises:
        CertificateError: a file cannot be used.
    """
    context = ssl.create_default_context() if ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        _trust(context, ca)
    if certificate is not None:
        certificate.load_into(context)
    return context


def fingerprint(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; None while it cannot be read."""
    try:
        status = os.stat(file)  # noqa: PTH116 - Path.stat is slower, and this stands before each request
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _require_plain(file: Path) -> None:
    """Refuse what OpenSSL would read without its first certificate: it does not know byte order marks."""
    with suppress(FileError):  # what cannot be read, OpenSSL says
        if read_start(file, most_bytes=MARK_BYTES).startswith(tuple(ENCODINGS)):
            raise CertificateError(f"{file}: expected PEM without a byte order mark; save it as plain text")


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    _require_plain(ca)
    try:
        context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise CertificateError(f"CA {ca}: {reason}") from None


def _no_password() -> str:
    raise ValueError("the key has a password; expected one without")
