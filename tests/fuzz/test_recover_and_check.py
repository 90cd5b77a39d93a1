"""recover_and_check next to arkworks: which shares are right decides signature, status and culprits."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

import dvtfast
from dvtfast import RecoveryStatus, ShareStatus
from dvtfast.recovery import FIRST_VALIDATORS
from tests import reference, samples
from tests.fuzz import arkworks, batches
from tests.fuzz.arkworks import G1, G2, Verdict, encode, scalar
from tests.fuzz.hostile_encodings import HOSTILE, hostile, small

R = reference.CURVE_ORDER


@dataclass
class Validator:
    """One row: what is right, and what is sent."""

    t: int
    xs: list[int]
    secrets: list[int]  # the key and its shares
    root: bytes
    present: np.ndarray
    sent: list[bytes] = field(default_factory=list)
    # Wrong shares were made to give the right signature together: they may, and then they are not named...
    may_pass: bool = False
    # ... or, where nothing but the signature is known, the others are.
    may_accuse: bool = False

    def __post_init__(self):
        self.hashed = arkworks.hash_to_g2(self.root)
        self.points = [self.hashed * scalar(secret) for secret in self.secrets[1:]]
        self.right = [encode(point) for point in self.points]
        self.sent = list(self.right)

    def sum_of_first(self, count):
        """What the first shares present add to an interpolation from the first t of them."""
        places = np.flatnonzero(self.present)[: self.t]
        rule = reference.lagrange_coefficients([self.xs[p] for p in places])
        total = G2.infinity
        for place, coefficient in zip(places[:count], rule, strict=False):
            point = G2.decode(self.sent[place])
            total = total + (G2.infinity if point is None else point) * scalar(coefficient)
        return total, places, rule


def draw_validator(random, t, xs):
    polynomial = [batches.scalar(random) for _ in range(t)]
    secrets = [polynomial[0], *(reference.evaluate(polynomial, x) for x in xs)]
    present = random.random(len(xs)) < random.choice([1, 1, 0.8, 0.5])
    return Validator(t, xs, secrets, random.bytes(32), present)


# Single wrong shares, of validator v among all, at one place.


def random_point(random, v, all_of_them, place):
    return encode(v.hashed * scalar(batches.scalar(random)))


def over_another_root(random, v, all_of_them, place):
    return encode(arkworks.hash_to_g2(random.bytes(32)) * scalar(v.secrets[1 + place]))


def of_another_validator(random, v, all_of_them, place):
    return all_of_them[random.integers(len(all_of_them))].right[place]


def small_multiple(random, v, all_of_them, place):
    return encode(v.points[place] * scalar(int(random.choice([-3, -2, -1, 2, 3, 4]))))


def meeting_the_sum(random, v, all_of_them, place):
    """The additions before it, or all, end in its opposite, itself or infinity, by index coefficients."""
    total, places, rule = v.sum_of_first(v.t)
    at = np.flatnonzero(places == place)
    if not at.size:
        return random_point(random, v, all_of_them, place)
    [at] = at
    before, _, _ = v.sum_of_first(at)
    own = G2.decode(v.sent[place]) * scalar(rule[at])
    target = [before, -before, own - total][random.integers(3)]
    if target == G2.infinity:
        return random_point(random, v, all_of_them, place)
    return encode(target * scalar(pow(rule[at], -1, R)))


WRONG = {
    "random point": random_point,
    "over another root": over_another_root,
    "of another validator": of_another_validator,
    "small multiple": small_multiple,
    "meeting the sum": meeting_the_sum,
}


# Two of these could be shares of f(c*x), which has the right value at 0: at most one for each validator.


def for_another_index(random, v, place):
    return v.right[random.integers(len(v.right))]


def opposite_of_another_index(random, v, place):
    return encode(-v.points[random.integers(len(v.points))])


def the_whole_signature(random, v, place):
    return encode(v.hashed * scalar(v.secrets[0]))


WRONG_ONCE = {
    "for another index": for_another_index,
    "opposite of another index": opposite_of_another_index,
    "the whole signature": the_whole_signature,
}


# Whole rows, by senders who work together.


def one_share_under_every_index(random, v):
    v.sent = [v.right[random.integers(len(v.right))]] * len(v.right)


def all_the_whole_signature(random, v):
    v.sent = [encode(v.hashed * scalar(v.secrets[0]))] * len(v.right)
    v.may_pass = v.may_accuse = True


def errors_that_cancel(random, v):
    """In the interpolation from the first t shares present."""
    _, places, rule = v.sum_of_first(0)
    if len(rule) < 2:
        return
    i, j = random.choice(len(rule), 2, replace=False)
    error = batches.scalar(random)
    rest = -error * rule[i] * pow(rule[j], -1, R)
    v.sent[places[i]] = encode(v.points[places[i]] + v.hashed * scalar(error))
    v.sent[places[j]] = encode(v.points[places[j]] + v.hashed * scalar(rest))
    v.may_pass = v.may_accuse = True


def two_parts_of_small_order(random, v):
    """They may cancel, too."""
    places = random.choice(len(v.right), min(2, len(v.right)), replace=False)
    for place in places:
        v.sent[place] = encode(v.points[place] + small(G2, random))
    v.may_pass = True


TOGETHER = {
    "one share under every index": one_share_under_every_index,
    "all the whole signature": all_the_whole_signature,
    "errors that cancel": errors_that_cancel,
    "two parts of small order": two_parts_of_small_order,
}


def spoil(random, validators):
    """Make some shares wrong; the kinds of what was done."""
    rate = random.choice([0, 0.1, 0.5, 1])
    for v in validators:
        if random.random() >= rate:
            yield "honest"
        elif random.random() < 0.2:
            kind = random.choice(list(TOGETHER))
            TOGETHER[kind](random, v)
            yield kind
        else:
            once = list(WRONG_ONCE)
            bad = min(int(random.choice([1, 1, 1, 2, 2, 3, 7])), len(v.xs))
            for place in random.choice(len(v.xs), bad, replace=False):
                kind = random.choice([*WRONG, *once, *HOSTILE])
                if kind in WRONG:
                    v.sent[place] = WRONG[kind](random, v, validators, place)
                elif kind in WRONG_ONCE:
                    v.sent[place], once = WRONG_ONCE[kind](random, v, place), []
                else:
                    v.sent[place] = hostile(kind, G2, v.points[place], random)
                    # A coefficient that its order divides takes the other part away; what is left is right.
                    v.may_pass |= kind == "plus small order"
                yield kind


def assert_row(v, recovered, i, keys_known, suspects):
    """What one row of the answer must be; the kinds of outcome."""
    good = np.array([sent == right for sent, right in zip(v.sent, v.right, strict=True)])
    usable = np.array([G2.judge(sent) is Verdict.GOOD for sent in v.sent])
    present, suspected = v.present, np.array([x in suspects for x in v.xs])
    enough = (present & good).sum() >= v.t
    status = RecoveryStatus(recovered.statuses[i])
    called_bad = recovered.share_statuses[i] == ShareStatus.BAD
    called_good = recovered.share_statuses[i] == ShareStatus.GOOD
    signature = recovered.signatures[i].tobytes()

    if status == RecoveryStatus.OK:
        assert enough or v.may_pass
        assert signature == encode(v.hashed * scalar(v.secrets[0]))
    else:
        assert not enough
        assert signature == bytes(96)
        few = keys_known or (present & usable).sum() < v.t
        assert status == (RecoveryStatus.TOO_FEW_SHARES if few else RecoveryStatus.INCONSISTENT)
    xs = np.array(v.xs, np.uint64)
    assert np.array_equal(recovered.share_indices[i][present], xs[present])
    assert np.array_equal(recovered.bad_share_indices(i), xs[called_bad])
    assert not (called_good & ~good).any()
    assert not ((called_good | called_bad) & ~present).any()

    looked_at = present if (called_good | called_bad)[present & ~suspected].any() else present & suspected
    if keys_known:
        assert np.array_equal(called_bad, looked_at & ~good)
        assert np.array_equal(called_good, looked_at & good)
        if status != RecoveryStatus.OK and present.sum() >= v.t:
            assert np.array_equal(looked_at, present)
    elif status != RecoveryStatus.OK:
        assert np.array_equal(called_bad, present & ~usable & (present.sum() >= v.t))
    elif not v.may_accuse:
        assert not called_bad.any() or np.array_equal(called_bad, present & ~good)
    yield f"{status.name}, keys {'known' if keys_known else 'unknown'}"
    if called_bad.any():
        yield "saved and named" if status == RecoveryStatus.OK else "lost and named"


def rounds(random, size):
    t = int(random.integers(1, 8))
    k = t + int(random.integers(3))
    shared = random.random() < 0.5
    xs = batches.share_indices(random, k)
    validators = [
        draw_validator(random, t, xs if shared else batches.share_indices(random, k)) for _ in range(size)
    ]
    labels = list(spoil(random, validators))
    for v in validators:
        for place in np.flatnonzero(~v.present):
            v.sent[place] = random.bytes(96)
    present = np.array([v.present for v in validators])
    keys = samples.rows([samples.public_key(v.secrets[0]) for v in validators], 48)
    key_shares = [[arkworks.public_key(secret) for secret in v.secrets[1:]] for v in validators]
    keys_known = bool(random.integers(2))
    suspects = [xs[random.integers(k)]] if random.random() < 0.3 else []
    indices = np.array(xs if shared else [v.xs for v in validators], np.uint64)
    if not shared:
        indices[~present] = random.choice([0, 1])  # not read
        for v, row in zip(validators, indices, strict=True):
            v.xs = row.tolist()
    recovered = dvtfast.recover_and_check(
        dvtfast.PublicKeys(keys) if random.integers(2) else keys,
        samples.rows([v.root for v in validators], 32),
        samples.grid([v.sent for v in validators], k, 96),
        indices,
        threshold=t,
        present=None if present.all() and random.integers(2) else present,
        public_key_shares=samples.grid(key_shares, k, G1.width) if keys_known else None,
        suspects=suspects,
        threads=batches.threads(random),
    )
    assert np.array_equal(recovered.ok, recovered.statuses == RecoveryStatus.OK)
    known = suspects
    for i, v in enumerate(validators):
        if i == FIRST_VALIDATORS and keys_known:
            known = suspects + mostly_bad(recovered, present)
        labels += assert_row(v, recovered, i, keys_known, known)
    return labels


def mostly_bad(recovered, present):
    """Share indices that were found bad for at least half of the first validators; they are suspects then."""
    first = slice(FIRST_VALIDATORS)
    indices, bad = recovered.share_indices[first], recovered.share_statuses[first] == ShareStatus.BAD
    of_index = {index: present[first] & (indices == index) for index in set(indices[bad].tolist())}
    return [index for index, here in of_index.items() if 2 * (bad & here).sum() >= here.sum()]


def test_rounds():
    statuses = product(["OK", "TOO_FEW_SHARES"], ["known", "unknown"])
    outcomes = [f"{status}, keys {keys}" for status, keys in statuses]
    outcomes += ["INCONSISTENT, keys unknown", "saved and named", "lost and named"]
    batches.run(rounds, ["honest", *WRONG, *WRONG_ONCE, *TOGETHER, *HOSTILE, *outcomes])
