"""What a client shows a relayer, and whom it trusts: token, certificate, CA; files that may change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from dvtfast import FileError
from dvtfast.files import read_text

from ..web.tls import Certificate, Renewal, client_context, fingerprint

LONGEST_TOKEN = 4096
TOKEN_FILE_BYTES = 4 * LONGEST_TOKEN  # in UTF-16, with line ends


class TokenFileError(Exception):
    """A file that should hold a token; the message has nothing of what it holds."""


@dataclass(frozen=True)
class Access:
    """The files for one relayer; each may be missing."""

    token_file: Path | None = None
    ca: Path | None = None
    certificate: Certificate | None = None


class Credentials:
    """The files, read; those that change are read again.

    Attributes:
        tls: for connections; None is what everybody has.

    Raises:
        CertificateError: a certificate, key or CA cannot be used.
    """

    def __init__(self, access: Access) -> None:
        self._token_file = access.token_file
        self._state: tuple[int, int, int] | None = None
        self._token = ""
        self._renewal: Renewal | None = None
        self.tls: ssl.SSLContext | None = None
        if access.ca is not None or access.certificate is not None:
            self.tls = client_context(access.ca, access.certificate)
        if self.tls is not None and access.certificate is not None:
            self._renewal = Renewal(access.certificate, self.tls)

    def headers(self) -> dict[str, str]:
        """What a request has to show, as of now.

        Raises:
            TokenFileError: there is no token in the file.
        """
        if self._renewal is not None:
            self._renewal.refresh()
        if self._token_file is None:
            return {}
        state = fingerprint(self._token_file)
        if state is None or state != self._state:
            self._token = read_token(self._token_file)
            self._state = state
        return {"Authorization": f"Bearer {self._token}"}


def read_token(file: Path) -> str:
    """The token in a file, with no more than spaces and line ends around it.

    Raises:
        TokenFileError: there is none.
    """
    try:
        token = read_text(file, limit_bytes=TOKEN_FILE_BYTES).strip()
    except FileError as error:
        raise TokenFileError(f"token file {file}: {error.reason}") from None
    is_one = token.isascii() and token.isprintable() and " " not in token
    if not is_one or not 0 < len(token) <= LONGEST_TOKEN:
        raise TokenFileError(
            f"token file {file}: expected one token, as `dvtfast relayer token create` prints it"
        )
    return token
