"""What enough oracles have signed: the same, each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...chain.contracts.signers import recover_signer
from ...chain.encoding import write_address
from ...process import logs
from .client import Oracle, OracleCall, OracleClient, OracleError

S = TypeVar("S")

log = logs.get("oracles")


class TooFewOraclesError(Exception):
    """Too few oracles have signed the same.

    Attributes:
        needed: how many had to.
        agreed: how many did.
        said: what came of each of the others, by address.
    """

    def __init__(self, needed: int, agreed: int, said: Mapping[bytes, str]) -> None:
        total = agreed + len(said)
        each = "; ".join(f"{write_address(address)}: {words}" for address, words in said.items())
        super().__init__(
            f"expected the same answer of {needed} of {total} oracles, got {agreed}"
            + (f"; of the others: {each}" if each else "")
        )
        self.needed = needed
        self.agreed = agreed
        self.said = said


@dataclass(frozen=True)
class SignedSubject(Generic[S]):
    """What one oracle says that it has signed.

    Attributes:
        subject: what oracles must agree on.
        digest: what the signature is over.
    """

    subject: S
    digest: bytes
    signature: bytes


@dataclass(frozen=True)
class OracleAgreement(Generic[S]):
    """What oracles agree on.

    Attributes:
        signatures: 65 bytes each, as many as are needed, in the order of the oracles' addresses.
    """

    subject: S
    signatures: bytes


async def agree(
    client: OracleClient,
    oracles: Sequence[Oracle],
    call: OracleCall,
    read: Callable[[bytes], SignedSubject[S]],
    *,
    threshold: int,
) -> OracleAgreement[S]:
    """Ask all oracles at once, until enough have signed the same; the others are waited for no longer.

    Args:
        read: runs on a thread; raises ValueError of an answer that cannot be used.

    Raises:
        TooFewOraclesError: too few have.
    """
    if not 1 <= threshold <= len(oracles):
        raise ValueError(f"threshold: expected 1..{len(oracles)} oracles, got {threshold}")
    votes: dict[S, dict[bytes, bytes]] = {}  # subject, address, signature
    failed: dict[bytes, str] = {}
    tasks = {asyncio.create_task(client.ask(each, call, _by(each, read))): each for each in oracles}
    waiting = set(tasks)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                address = tasks[task].address
                try:
                    signed = task.result()
                except OracleError as error:
                    failed[address] = str(error)
                else:
                    votes.setdefault(signed.subject, {})[address] = signed.signature
            if votes and len(votes[subject := _leading(votes)]) >= threshold:
                log.info("oracles agree", votes=len(votes[subject]), needed=threshold, failed=len(failed))
                return OracleAgreement(subject, _joined(votes[subject], threshold))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    agreed = votes.pop(_leading(votes)) if votes else {}
    for subject, signatures in votes.items():
        failed |= dict.fromkeys(signatures, f"signed something else: {subject}")
    raise TooFewOraclesError(threshold, len(agreed), failed)


def _by(oracle: Oracle, read: Callable[[bytes], SignedSubject[S]]) -> Callable[[bytes], SignedSubject[S]]:
    """Also refuse what that oracle has not signed."""

    def checked(content: bytes) -> SignedSubject[S]:
        signed = read(content)
        signer = recover_signer(signed.digest, signed.signature)
        if signer != oracle.address:
            raise ValueError(f"signature: expected one by {oracle.name}, got one by {write_address(signer)}")
        return signed

    return checked


def _leading(votes: Mapping[S, Mapping[bytes, bytes]]) -> S:
    return max(votes, key=lambda subject: len(votes[subject]))


def _joined(signatures: Mapping[bytes, bytes], threshold: int) -> bytes:
    """The first ones by address, as the Keeper wants them."""
    return b"".join(signatures[address] for address in sorted(signatures)[:threshold])
