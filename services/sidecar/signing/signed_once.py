"""The same message is signed once, though two polls, several relayers or a second attempt want it."""

from __future__ import annotations

import asyncio
from itertools import islice

import numpy as np

from dvtfast.constants import ROOT_BYTES, SIGNATURE_BYTES

from ..nodes.node import MessagesToSign, NodeSigner, SignedMessages

REMEMBERED = 32_768  # signatures of a node; some hundred bytes each
NO_SIGNATURE = bytes(SIGNATURE_BYTES)


class SignedOnce:
    """A signer that knows what another signed last.

    One batch at a time: who wants the same at the same time finds it signed.
    """

    def __init__(self, signer: NodeSigner) -> None:
        self._signer = signer
        self._signatures: dict[tuple[int, bytes], bytes] = {}  # by place and signing root, the oldest first
        self._lock = asyncio.Lock()

    async def sign(self, messages: MessagesToSign) -> SignedMessages:
        """As the other signer does, or did."""
        joined = messages.signing_roots.tobytes()
        roots = (joined[start : start + ROOT_BYTES] for start in range(0, len(joined), ROOT_BYTES))
        keys = list(zip(messages.places.tolist(), roots, strict=True))
        async with self._lock:
            known = self._signatures
            if new := [row for row, key in enumerate(keys) if key not in known]:
                wanted = messages if len(new) == len(keys) else messages[np.array(new, np.intp)]
                signed = await self._signer.sign(wanted)
                for row, signature, good in zip(new, signed.signatures, signed.ok.tolist(), strict=True):
                    if good:
                        known[keys[row]] = signature.tobytes()
            signatures = [known.get(key, NO_SIGNATURE) for key in keys]
            for key in list(islice(known, max(0, len(known) - REMEMBERED))):
                del known[key]
        ok = np.array([signature is not NO_SIGNATURE for signature in signatures], np.bool_)
        return SignedMessages(np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, SIGNATURE_BYTES), ok)

    async def close(self) -> None:
        """Forget keys and signatures."""
        self._signatures.clear()
        await self._signer.close()
