"""How a ceremony ends without keys: by proof against somebody, by silence, or because it cannot begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import sha256

from dvtfast.dkg.dvtfast_dkg.blame.evidence import HEAD_BYTES, Proves, of_envelopes
from dvtfast.dkg.dvtfast_dkg.blame.judging import EvidenceError, UndecidedError, Verdict, judge_evidence
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Envelope, Kind
from dvtfast.dkg.dvtfast_dkg.messages.mail import Mail
from dvtfast.dkg.dvtfast_dkg.messages.statements import Stop
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.dvtfast_dkg.work import Work
from dvtfast.dkg.outputs import Aborted

# Evidence of one peer that is judged, for each operator that there is.
MOST_BLAMES = 2


class Verdicts:
    """What one node has heard against operators, and what it says itself.

    Args:
        seal: makes a message of this node with a statement.

    Attributes:
        aborted: whether this node has ended; after its DONE it does not.
        messages: those that tell others why.
    """

    def __init__(self, terms: Terms, mail: Mail, work: Work, seal: Callable[[Kind, bytes], Envelope]) -> None:
        self.aborted = False
        self.messages: list[Envelope] = []
        self._terms, self._mail, self._work, self._seal = terms, mail, work, seal
        self._guilty: set[int] = set()
        self._judged: set[bytes] = set()
        self._heard: Counter[int] = Counter()
        self._undecided: list[Envelope] = []
        self._reasons: set[str] = set()
        self._stops: dict[int, Envelope] = {}

    def abort(
        self,
        reason: str,
        culprit: int | None = None,
        evidence: bytes | None = None,
        *,
        bound_by: Kind = Kind.DONE,
    ) -> None:
        """There is a reason to end; once for each.

        Args:
            bound_by: the message after which this node does not end for such a reason, but says so.
        """
        if reason in self._reasons:
            return
        self._reasons.add(reason)
        is_bound = bound_by in self._mail.own
        self._mail.out.append(Aborted(reason, culprit, evidence, unconfirmed=is_bound))
        if not is_bound:
            self.aborted = True
            self._work.wipe(keys=True)

    def convict(self, evidence: bytes) -> None:
        """Tell everybody who is guilty by an evidence, once for each culprit.

        Raises:
            EvidenceError: it proves nothing.
            UndecidedError: it cannot be judged yet.
        """
        verdict = self._judge(evidence)
        if verdict.culprit in self._guilty:
            return
        self._guilty.add(verdict.culprit)
        blame = self._seal(Kind.BLAME, sha256(evidence).digest())
        blame = Envelope(blame.kind, blame.sender, blame.slot, blame.statement, blame.signature, evidence)
        self.messages.append(blame)
        self._mail.send_all(blame)
        self.abort(verdict.reason, verdict.culprit, evidence)

    def accuse(self, evidence: bytes) -> None:
        """This node has found somebody out: `convict`, or end without a culprit if it cannot be proven."""
        try:
            self.convict(evidence)
        except (EvidenceError, UndecidedError) as error:
            self.abort(f"something is wrong that cannot be proven: {error}")

    def hear(self, envelope: Envelope) -> None:
        """A BLAME or STOP has come."""
        if envelope.slot != self._terms.hello_slot or not envelope.is_signed(self._terms.operators):
            return
        if envelope.kind == Kind.STOP:
            self._stops[envelope.sender] = envelope
        elif envelope.statement not in self._judged and envelope.sender not in self._guilty:
            self._heard[envelope.sender] += 1
            enough = self._heard[envelope.sender] > MOST_BLAMES * self._terms.count
            if not enough and sha256(envelope.attachment).digest() == envelope.statement:
                self._weigh(envelope)

    def heed(self, phase: Kind) -> bool:
        """This node would wait no longer: who has stopped before may have been right. Whether one was.

        A STOP is believed only for what this node sees itself: it misses that message, too; or it has asked
        for it in vain on behalf of who stopped. How long all may take to come is everybody's own affair. Of
        one who stopped before it signed the lock, and whose signature is missing, it is believed that none
        will come: then nobody can have all.
        """
        missing = self._mail.missing(phase)
        for stop in self._stops.values():
            facts = Stop.decode(stop.statement, self._terms)
            missed = facts.kind == phase and facts.silent in missing
            refused = facts.kind == Kind.DEAL and self._mail.wanted.refusing(stop.sender) == facts.silent
            if phase == Kind.LOCKSIG and facts.kind < phase and stop.sender in missing:
                self.messages.append(stop)
                self.abort(f"operator {stop.sender} has ended before it signed the lock", stop.sender)
                return True
            if Kind.HELLO < phase < Kind.DONE and (missed or refused):
                self.end_by(stop)
                return True
        return False

    def end_by(self, stop: Envelope) -> None:
        """Somebody waits no longer, perhaps this node, and this node has seen that it is right."""
        facts = Stop.decode(stop.statement, self._terms)
        self.messages.append(stop)
        name = Kind(facts.kind).name
        self.abort(
            f"operator {stop.sender} has waited in vain for {name} of operator {facts.silent}",
            facts.silent,
            bound_by=Kind.LOCKSIG,
        )

    def judge_again(self) -> None:
        """More is known of the result than before."""
        undecided, self._undecided = self._undecided, []
        for envelope in undecided:
            self._weigh(envelope)

    def _weigh(self, blame: Envelope) -> None:
        self._judged.add(blame.statement)
        try:
            self.convict(blame.attachment)
        except UndecidedError:
            self._undecided.append(blame)
        except EvidenceError:
            digests = self._work.hello_digests
            proof = of_envelopes(Proves.FALSE_BLAME, self._terms, digests, blame, rest=[blame.attachment])
            try:
                self.convict(proof.encode())
            except (EvidenceError, UndecidedError):  # of a BLAME for a BLAME, or too large: it is left alone
                return

    def _judge(self, evidence: bytes) -> Verdict:
        if int.from_bytes(evidence[1:HEAD_BYTES], "big") != self._terms.attempt:
            raise EvidenceError("it is of another attempt")
        return judge_evidence(evidence, self._terms, plan=self._work.plan, known=self._work.known)
