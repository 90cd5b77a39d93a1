"""Who handed in bad shares, in the log: once for each share, and one line for all of a round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from time import monotonic

from ... import wire
from ...process import logs
from ..clusters.served import Group
from ..store.judging.verdicts import DueMessage, HeldShare
from ..store.subjects import kind_of

LONGEST_WAIT_SECONDS = 30.0  # until a line is written though the round goes on
NAMED_LIMIT = 200_000  # bad shares that are not logged again
SHOWN_VALIDATORS = 32  # in a line; GET /exits and GET /validators have all of them

log = logs.get("pipeline")


class Culprits:
    """Bad shares that are not in the log yet; a node may send other ones as often as it likes."""

    def __init__(self) -> None:
        self._named: set[HeldShare] = set()
        self._new: defaultdict[tuple[str, str, int], list[bytes]] = defaultdict(list)  # public keys
        self._since = 0.0

    def note(self, group: Group, messages: Sequence[DueMessage], rejected: Iterable[HeldShare]) -> None:
        """Remember who handed in these bad shares of messages."""
        of = {message.id: message for message in messages}
        for share in rejected:
            if share in self._named:
                continue
            if not self._new:
                self._since = monotonic()
            if len(self._named) >= NAMED_LIMIT:
                self._named.clear()
            self._named.add(share)
            message = of[share.message_id]
            kind = kind_of(message.subject).name.lower()
            self._new[group.name, kind, share.share_index].append(message.public_key)

    @property
    def waited_long(self) -> bool:
        """Whether what is new should be in the log by now."""
        return bool(self._new) and monotonic() - self._since > LONGEST_WAIT_SECONDS

    def report(self) -> None:
        """Log what is new."""
        new, self._new = self._new, defaultdict(list)
        for (cluster, kind, share_index), keys in sorted(new.items()):
            shown = list(dict.fromkeys(keys))[:SHOWN_VALIDATORS]
            log.warning(
                "bad shares",
                cluster=cluster,
                share_index=share_index,
                kind=kind,
                count=len(keys),
                validators=[wire.PublicKey(key).to_wire() for key in shown],
            )
