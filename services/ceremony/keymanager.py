"""Keystores into a validator client, over the keymanager API.

Whether it takes them is asked before there are any keys, and they stay on disk until it says that it has
each.

Source: ethereum/keymanager-APIs; charon's `--keymanager-address`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dvtfast.keystores import KeystoreFile, read_keystore_files

from ..process import logs
from ..web.bounded import AnswerError
from ..web.outgoing import Answer, OutgoingError, Session, joined
from .errors import CeremonyError

PATH = "/eth/v1/keystores"
CHECK_SECONDS = 10.0
SECONDS_PER_KEYSTORE = 2.0  # it derives a key for each
KEYSTORES_PER_REQUEST = 50
ATTEMPTS = 3
PAUSE_SECONDS = 2.0
ANSWER_LIMIT_BYTES = 32 * 1024**2
TAKEN = ("imported", "duplicate")

log = logs.get("keymanager")


class KeystoreStatus(msgspec.Struct):
    """What became of one keystore."""

    status: str
    message: str = ""


class KeystoreStatuses(msgspec.Struct):
    """The answer to keystores."""

    data: list[KeystoreStatus]


async def check_keymanager(address: str, token: str) -> None:
    """Ask for the keystores that are there: whether it answers, and knows the token.

    Raises:
        CeremonyError: it does not.
    """
    async with Session(CHECK_SECONDS) as session:
        await _ask(session, "GET", address, token)


async def push_keystores(address: str, token: str, directory: Path) -> int:
    """Give it all keystores of a directory; how many.

    What it has already counts as taken, so this can be done again.

    Raises:
        CeremonyError: it does not say of each that it has it now.
    """
    files = read_keystore_files(directory).files
    for start in range(0, len(files), KEYSTORES_PER_REQUEST):
        part = files[start : start + KEYSTORES_PER_REQUEST]
        async with Session(CHECK_SECONDS + SECONDS_PER_KEYSTORE * len(part)) as session:
            await _push(session, address, token, part)
        log.info("keystores taken", done=start + len(part), of=len(files))
    return len(files)


async def _push(session: Session, address: str, token: str, files: Sequence[KeystoreFile]) -> None:
    body = msgspec.json.encode(
        {
            "keystores": [_text(file.content) for file in files],
            "passwords": [_text(file.password) for file in files],
        }
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = await _ask(session, "POST", address, token, body)
            break
        except CeremonyError as error:
            if attempt == ATTEMPTS:
                raise
            log.warning("keystores not taken, asked again", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)
    try:
        statuses = msgspec.json.decode(answer.content, type=KeystoreStatuses).data
    except msgspec.MsgspecError:
        raise CeremonyError("the keymanager did not say what became of each keystore") from None
    if len(statuses) != len(files):
        raise CeremonyError(f"the keymanager answered for {len(statuses)} keystores of {len(files)}")
    for file, status in zip(files, statuses, strict=True):
        if status.status not in TAKEN:
            said = logs.printable(status.message or status.status)
            raise CeremonyError(f"the keymanager did not take {file.path.name}: {said}")


async def _ask(session: Session, method: str, address: str, token: str, body: bytes | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        answer = await session.ask(
            method, joined(address, PATH), limit_bytes=ANSWER_LIMIT_BYTES, body=body, headers=headers
        )
    except (AnswerError, OutgoingError) as error:
        raise CeremonyError(f"the keymanager: {error}") from None
    if answer.status in (401, 403):
        raise CeremonyError(f"the keymanager refuses the token: HTTP {answer.status}")
    if not 200 <= answer.status < 300:
        raise CeremonyError(f"the keymanager: HTTP {answer.status}")
    return answer


def _text(content: bytes | Exception) -> str:
    if isinstance(content, Exception):
        raise CeremonyError(str(content))
    return content.decode()
