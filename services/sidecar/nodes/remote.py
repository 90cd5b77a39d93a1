"""Key shares that stay in a remote signer: web3signer, or what speaks its Eth2 API.

Types VOLUNTARY_EXIT and DEPOSIT.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic

import msgspec
import numpy as np
import tenacity
from numpy.typing import NDArray

from dvtfast import Network, PublicKeys, check_signatures
from dvtfast.constants import SIGNATURE_BYTES

from ... import wire
from ...keys.remote_signer import Failure, Fork, ForkInfo, RemoteSignerClient
from ...process import logs
from ...process.offload import UnavailableError, Workers
from .node import SHOWN_ITEMS, DepositMessages, ExitMessages, MessagesToSign, SignedMessages

PARALLEL_REQUESTS = 32
ATTEMPTS = 3
RETRY_FIRST_SECONDS = 0.2
RETRY_LONGEST_SECONDS = 2.0
REFUSED_FIRST_SECONDS = 5.0  # before what was refused twice is asked for again
REFUSED_LONGEST_SECONDS = 300.0
REFUSALS_LIMIT = 50_000  # that are remembered, some 10 MB

log = logs.get("remote-signer")


class VoluntaryExit(msgspec.Struct):
    """Part of a request; integers are decimal text."""

    epoch: str
    validator_index: str


class ExitRequest(msgspec.Struct):
    """Body of a request for an exit's signature."""

    fork_info: ForkInfo
    signing_root: wire.Root
    voluntary_exit: VoluntaryExit
    type: str = "VOLUNTARY_EXIT"


class DepositFields(msgspec.Struct):
    """Part of a request."""

    pubkey: wire.PublicKey
    withdrawal_credentials: wire.WithdrawalCredentials
    amount: str
    genesis_fork_version: wire.ForkVersion


class DepositRequest(msgspec.Struct):
    """Body of a request for a deposit's signature; the validator's key is not the one that signs."""

    deposit: DepositFields
    signing_root: wire.Root
    type: str = "DEPOSIT"


@dataclass(frozen=True)
class Refusal:
    """What a signer does not sign, and until when it is not asked for it again."""

    failure: Failure
    in_a_row: int
    rests_until: float  # monotonic seconds

    @classmethod
    def after(cls, before: Refusal | None, failure: Failure) -> Refusal:
        """One more, after those before. The first one costs no time: what was wrong may be mended by now."""
        count = 1 if before is None else before.in_a_row + 1
        rest = 0.0 if count == 1 else REFUSED_FIRST_SECONDS * 2.0 ** min(count - 2, 10)
        return cls(failure, count, monotonic() + min(rest, REFUSED_LONGEST_SECONDS))


class RemoteSigner:
    """Signs with keys that are elsewhere; what comes back is verified.

    Args:
        address: of the signer.
        public_key_shares: of the node, in its order.
        workers: for the verification.
        threads: for one batch.
    """

    def __init__(
        self,
        address: str,
        public_key_shares: PublicKeys,
        network: Network,
        workers: Workers,
        *,
        timeout_seconds: float,
        threads: int | None,
    ) -> None:
        self._shares = public_key_shares
        self._network = network
        self._workers = workers
        self._threads = threads
        self._client = RemoteSignerClient(
            address, timeout_seconds=timeout_seconds, connections=PARALLEL_REQUESTS
        )
        self._free = asyncio.Semaphore(PARALLEL_REQUESTS)
        self._told: set[str] = set()
        self._refusals: dict[bytes, Refusal] = {}  # by what was asked, the latest last

    async def sign(self, messages: MessagesToSign) -> SignedMessages:
        """Sign all that the signer signs now."""
        keys = [wire.PublicKey(self._shares.encoded[place].tobytes()) for place in messages.places]
        requests = zip(keys, self._bodies(messages), strict=True)
        answers = await asyncio.gather(*(self._signature(key, body) for key, body in requests))
        self._tell([answer.reason for answer in answers if isinstance(answer, Failure)])
        ok = np.array([not isinstance(answer, Failure) for answer in answers], np.bool_)
        joined = b"".join(bytes(SIGNATURE_BYTES) if isinstance(a, Failure) else a for a in answers)
        signatures = np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_BYTES)
        places, roots = messages.places[ok], messages.signing_roots[ok]
        good = await self._workers.run(self._check, places, roots, signatures[ok])
        if not good.all():
            wrong = [keys[i].to_wire() for i in np.flatnonzero(ok)[~good][:SHOWN_ITEMS]]
            log.error("wrong signatures", count=int((~good).sum()), such_as=", ".join(wrong))
        ok[ok] = good
        return SignedMessages(signatures, ok)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    def _check(
        self, places: NDArray[np.intp], roots: NDArray[np.uint8], signatures: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        return check_signatures(self._shares[places], roots, signatures, threads=self._threads)

    def _bodies(self, messages: MessagesToSign) -> Iterator[bytes]:
        roots = [wire.Root(row.tobytes()) for row in messages.signing_roots]
        if isinstance(messages, ExitMessages):
            version, epoch = (
                wire.ForkVersion(self._network.capella_fork_version),
                str(self._network.capella_epoch),
            )
            fork = ForkInfo(Fork(version, version, epoch), wire.Root(self._network.genesis_validators_root))
            for root, index in zip(roots, messages.validator_indices.tolist(), strict=True):
                yield wire.encode(ExitRequest(fork, root, VoluntaryExit(epoch, str(index))))
        elif isinstance(messages, DepositMessages):
            genesis = wire.ForkVersion(self._network.genesis_fork_version)
            columns = zip(
                messages.public_keys,
                messages.withdrawal_credentials,
                messages.amounts_gwei.tolist(),
                strict=True,
            )
            for root, (key, credentials, amount) in zip(roots, columns, strict=True):
                pubkey, to = wire.PublicKey(key.tobytes()), wire.WithdrawalCredentials(credentials.tobytes())
                yield wire.encode(DepositRequest(DepositFields(pubkey, to, str(amount), genesis), root))

    async def _signature(self, key: wire.PublicKey, body: bytes) -> wire.Signature | Failure:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(UnavailableError),
            wait=tenacity.wait_random_exponential(RETRY_FIRST_SECONDS, RETRY_LONGEST_SECONDS),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        asked = sha256(key + body).digest()
        refusal = self._refusals.pop(asked, None)
        if refusal is not None and monotonic() < refusal.rests_until:
            self._refusals[asked] = refusal
            return refusal.failure
        async with self._free:
            try:
                answer: wire.Signature | Failure = await retrying(self._client.sign, key, body)
            except UnavailableError as error:
                return Failure(str(error))
        if isinstance(answer, Failure):
            self._refusals[asked] = Refusal.after(refusal, answer)
            while len(self._refusals) > REFUSALS_LIMIT:
                del self._refusals[next(iter(self._refusals))]
        return answer

    def _tell(self, reasons: Sequence[str]) -> None:
        """Log each reason when it comes up, and again when it comes back."""
        counts = Counter(reasons)
        for reason, count in counts.most_common(SHOWN_ITEMS):
            if reason not in self._told:
                log.warning("the remote signer does not sign", count=count, reason=reason)
        self._told = set(counts)
