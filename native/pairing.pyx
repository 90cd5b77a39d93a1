"""The batch pairing check: one equation for all claims, bisection when it fails.

With random weights w_i, words of 64 bits (weights.pyx),

    prod e(w_i * P_i, H_i) == e(G1, sum w_i * S_i)

holds when every e(P_i, H_i) == e(G1, S_i), and otherwise with probability at most 1 / (2^64 - 2), as all
points are in the groups of prime order: of signatures that is shown by the sum itself, where there are lanes and
many of them, or one by one. A claim alone needs no weight. Miller values are kept, one for each group of claims:
a failed batch is bisected over their products, and only groups that fail pay for single ones.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport PAIRS_TOGETHER, Engine, miller_product, miller_products, p2s_in_group
from dvtfast._native.status cimport Status
from dvtfast._native.weights cimport sum_bytes, sum_in_group, weigh_p1s, weighted_sum, weighted_sums

cdef enum:
    GROUP = 8         # claims of one Miller value by blst; lanes have up to PAIRS_TOGETHER
    LANES = 8
    ALONE = 16        # claims that are tried alone, side by side
    DENSE = 6         # where one claim in so many is bad, each is tried alone

# One side of the equation, not yet exponentiated, and the other, for one claim or several.
cdef struct Side:
    blst_fp12 miller
    blst_p2 signature


cdef int claims_open(Claims *claims, size_t capacity) noexcept nogil:
    """Room for `capacity` claims; 0, or -1 without memory."""
    cdef size_t one = sizeof(size_t) + sizeof(blst_p1_affine) + 2 * sizeof(blst_p2_affine) + 8
    memset(claims, 0, sizeof(Claims))
    claims.hashes = <blst_p2_affine *> malloc(one * (capacity + 1))
    if claims.hashes == NULL:
        return -1
    claims.signatures = claims.hashes + capacity
    claims.public_keys = <blst_p1_affine *> (claims.signatures + capacity)
    claims.weights = <uint64_t *> (claims.public_keys + capacity)
    claims.rows = <size_t *> (claims.weights + capacity)
    return 0


cdef void claims_close(Claims *claims) noexcept nogil:
    free(claims.hashes)
    claims.hashes = NULL


cdef void claims_add(Claims *claims, size_t row, const blst_p1_affine *public_key,
                     const blst_p2_affine *root_hash, const blst_p2_affine *signature, uint64_t weight) noexcept nogil:
    """Add a claim about row `row`; no point is infinite, hash and key are in their groups, the weight is not zero."""
    cdef size_t i = claims.n
    claims.rows[i] = row
    claims.public_keys[i] = public_key[0]
    claims.signatures[i] = signature[0]
    claims.weights[i] = weight
    claims.hashes[i] = root_hash[0]
    claims.n = i + 1


cdef int claims_judge(Claims *claims, uint8_t *status, const Engine *engine) noexcept nogil:
    """Set status[row] of every claim to OK, NOT_IN_GROUP of its signature, or MISMATCH; 0, or -1 without memory."""
    cdef blst_p2 total
    cdef bint summed
    cdef int failed = 0
    cdef void *room = malloc(sum_bytes(claims.n) + claims.n)
    if room == NULL:
        return -1
    summed = sum_in_group(engine, &total, claims.signatures, claims.weights, claims.n)
    if not summed:
        keep_those_in_group(claims, status, engine, <uint8_t *> room)
    if claims.n == 1:
        status[claims.rows[0]] = Status.MISMATCH
        if claim_holds(claims.public_keys, claims.hashes, claims.signatures):
            status[claims.rows[0]] = Status.OK
    elif claims.n:
        if not summed:
            weighted_sum(engine, &total, claims.signatures, claims.weights, claims.n, room)
        failed = judge_together(claims, status, engine, &total, room)
    free(room)
    return failed


cdef void keep_those_in_group(Claims *claims, uint8_t *status, const Engine *engine, uint8_t *in_group) noexcept nogil:
    """Take claims with signatures outside G2 away."""
    cdef size_t i, n = claims.n
    p2s_in_group(engine, in_group, claims.signatures, n)
    claims.n = 0
    for i in range(n):
        if in_group[i]:
            claims_add(claims, claims.rows[i], &claims.public_keys[i], &claims.hashes[i], &claims.signatures[i],
                       claims.weights[i])
        else:
            status[claims.rows[i]] = Status.NOT_IN_GROUP


cdef int judge_together(const Claims *claims, uint8_t *status, const Engine *engine, const blst_p2 *total,
                        void *room) noexcept nogil:
    """claims_judge of at least two claims with signatures in G2, by their weighted sum."""
    cdef size_t n = claims.n, group = GROUP, eights
    if engine.lanes != NULL:  # as few eights of groups as possible, all full
        eights = (n + LANES * PAIRS_TOGETHER - 1) // (LANES * PAIRS_TOGETHER)
        group = (n + LANES * eights - 1) // (LANES * eights)
    cdef size_t i, sides = (n + group - 1) // group
    cdef size_t one = sizeof(blst_p1_affine) + 1
    cdef char *memory = <char *> malloc(sides * (sizeof(Side) + sizeof(blst_fp12) + sizeof(blst_p2)) + n * one)
    if memory == NULL:
        return -1
    cdef Side *groups = <Side *> memory
    cdef blst_fp12 *millers = <blst_fp12 *> (groups + sides)
    cdef blst_p2 *sums = <blst_p2 *> (millers + sides)
    cdef blst_p1_affine *keys = <blst_p1_affine *> (sums + sides)
    cdef uint8_t *bad = <uint8_t *> (keys + n)
    cdef blst_fp12 product

    weigh_p1s(engine, keys, claims.public_keys, claims.weights, n)
    miller_products(engine, millers, keys, claims.hashes, n, group)
    product = millers[0]
    for i in range(1, sides):
        blst_fp12_mul(&product, &product, &millers[i])
    memset(bad, 0, n)
    if not pairing_holds(&product, total):
        weighted_sums(engine, sums, claims.signatures, claims.weights, n, group, room)
        for i in range(sides):
            groups[i].miller, groups[i].signature = millers[i], sums[i]
        find_bad(claims, groups, sides, group, keys, bad, engine, room)
    for i in range(n):
        status[claims.rows[i]] = Status.MISMATCH if bad[i] else Status.OK
    free(memory)
    return 0


cdef void find_bad(const Claims *claims, const Side *groups, size_t sides, size_t group, const blst_p1_affine *keys,
                   uint8_t *bad, const Engine *engine, void *room) noexcept nogil:
    """Set bad[i] for each claim that fails, in a batch that is known to fail."""
    cdef Side single[PAIRS_TOGETHER]
    cdef blst_fp12 millers[PAIRS_TOGETHER]
    cdef blst_p2 sums[PAIRS_TOGETHER]
    cdef uint8_t bad_group
    cdef size_t i, j, first, size, seen = 0, found = 0
    # bad[i * group] marks group i for now: its place is overwritten when the group is opened.
    bisect(groups, sides, True, bad, group)
    for i in range(sides):
        first = i * group
        size = min(group, claims.n - first)
        bad_group = bad[first]
        bad[first] = 0
        if bad_group and DENSE * found > seen:  # halves would nearly all fail
            for j in range(size):
                bad[first + j] = not claim_holds(&claims.public_keys[first + j], &claims.hashes[first + j],
                                                 &claims.signatures[first + j])
        elif bad_group:
            miller_products(engine, millers, &keys[first], &claims.hashes[first], size, 1)
            weighted_sums(engine, sums, claims.signatures + first, claims.weights + first, size, 1, room)
            for j in range(size):
                single[j].miller, single[j].signature = millers[j], sums[j]
            bisect(single, size, True, bad + first, 1)
        seen += size
        for j in range(size):
            found += bad[first + j]


cdef void claims_hold(const Engine *engine, uint8_t *status, const blst_p1_affine *public_keys,
                      const blst_p2_affine *hashes, const blst_p2_affine *signatures, size_t n) noexcept nogil:
    """MISMATCH for each claim with status OK that does not hold, by itself; lanes compute Miller values only."""
    cdef blst_p1_affine ps[2 * ALONE]
    cdef blst_p2_affine qs[2 * ALONE]
    cdef blst_fp12 millers[ALONE]
    cdef size_t members[ALONE]
    cdef size_t i, j, size = 0
    cdef bint holds
    for i in range(n):
        if status[i] == Status.OK:
            pair_up(&ps[2 * size], &qs[2 * size], &public_keys[i], &hashes[i], &signatures[i])
            members[size] = i
            size += 1
        if size == ALONE or (i == n - 1 and size):
            miller_products(engine, millers, ps, qs, 2 * size, 2)
            for j in range(size):
                holds = blst_fp12_finalverify(&millers[j], blst_fp12_one())
                status[members[j]] = Status.OK if holds else Status.MISMATCH
            size = 0


cdef void pair_up(blst_p1_affine *ps, blst_p2_affine *qs, const blst_p1_affine *public_key,
                  const blst_p2_affine *root_hash, const blst_p2_affine *signature) noexcept nogil:
    """The two pairs whose product of pairings is 1 when a claim holds."""
    qs[0], qs[1] = root_hash[0], signature[0]
    ps[0], ps[1] = public_key[0], blst_p1_affine_generator()[0]
    blst_fp_cneg(&ps[1].y, &ps[1].y, True)


cdef bint claim_holds(const blst_p1_affine *public_key, const blst_p2_affine *root_hash,
                      const blst_p2_affine *signature) noexcept nogil:
    """Whether one claim holds, by itself; the points are checked and not infinite."""
    cdef blst_p2_affine qs[2]
    cdef blst_p1_affine ps[2]
    cdef blst_fp12 product
    pair_up(ps, qs, public_key, root_hash, signature)
    miller_product(&product, qs, ps, 2)
    return blst_fp12_finalverify(&product, blst_fp12_one())


cdef void bisect(const Side *sides, size_t n, bint known_bad, uint8_t *bad, size_t stride) noexcept nogil:
    """Set bad[i * stride] for each side that does not hold; `known_bad`: the whole does not."""
    cdef Side whole
    cdef size_t i, half = n // 2
    cdef bint left_bad = False
    if not known_bad:
        whole = sides[0]
        for i in range(1, n):
            blst_fp12_mul(&whole.miller, &whole.miller, &sides[i].miller)
            blst_p2_add_or_double(&whole.signature, &whole.signature, &sides[i].signature)
        if pairing_holds(&whole.miller, &whole.signature):
            return
    if n == 1:
        bad[0] = 1
        return
    bisect(sides, half, False, bad, stride)
    for i in range(half):
        left_bad = left_bad or bad[i * stride]
    # A whole that fails with a left half that holds has a right half that fails.
    bisect(sides + half, n - half, not left_bad, bad + half * stride, stride)


cdef bint pairing_holds(const blst_fp12 *miller, const blst_p2 *signature) noexcept nogil:
    """Whether final_exp(miller) == e(G1, signature); the signature may be infinity."""
    cdef blst_p2_affine affine
    cdef blst_fp12 right
    if blst_p2_is_inf(signature):
        return blst_fp12_finalverify(miller, blst_fp12_one())
    blst_p2_to_affine(&affine, signature)
    blst_miller_loop(&right, &affine, blst_p1_affine_generator())
    return blst_fp12_finalverify(miller, &right)
