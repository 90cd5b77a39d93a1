"""Messages of others, looked at before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dvtfast.duties.message_sizes import MessageSizes
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty, Message
from dvtfast.secp256k1 import recovered_signer

from ..junk import NotNowError


@dataclass(frozen=True)
class Checked:
    """A message that its node signed, as those did who justify it.

    Attributes:
        values: the contents of all values that it speaks of, by their hashes.
    """

    message: Message
    values: dict[bytes, wire.Value]


class Checks:
    """The checks of one cluster's messages.

    Args:
        nodes: the keys of all nodes, in their order.
        sizes: of their messages.
        is_open: whether a duty is agreed on now.
    """

    def __init__(self, nodes: Sequence[bytes], sizes: MessageSizes, is_open: Callable[[Duty], bool]) -> None:
        self._nodes, self._sizes, self._is_open = tuple(nodes), sizes, is_open

    def check(self, data: bytes) -> Checked:
        """A message as it came; slow.

        Raises:
            DvtfastError: it is none that its node may send.
            NotNowError: it is of a duty that nobody agrees on now.
        """
        envelope = wire.decode_envelope(data, self._sizes)
        if not self._is_open(envelope.message.duty):
            raise NotNowError("a duty that nobody agrees on now")
        for claim in envelope.claims:
            if recovered_signer(claim.digest, claim.signature) != self._nodes[claim.peer]:
                raise wire.BadMessageError(f"not signed by node {claim.peer}")
        return Checked(envelope.message, wire.checked_values(envelope, self._sizes))
