"""The batch pairing check: the equations of all rows as one, bisection when it fails.

With random weights w_i, words of 64 bits (weights.pyx),

    prod e(w_i * P_i, H_i) == e(G1, sum w_i * S_i)

holds when every e(P_i, H_i) == e(G1, S_i), and otherwise with probability at most 1 / (2^64 - 2), as all
points are in the groups of prime order: of signatures that is shown by the sum itself, where there are lanes and
many of them, or one by one. An equation alone needs no weight. Miller values are kept, one for each group of
equations: a failed batch is bisected over their products, and only groups that fail pay for single ones.

Where all H_i are one H, the left side is e(sum w_i * P_i, H): two pairings judge the batch, and so each half of one
that fails. This needs no proof of possession of keys: with weights that nobody knew, the sums agree when each signature
is that of its own key, and otherwise with the probability above, however keys and signatures were chosen.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport PAIRS_TOGETHER, Engine, miller_product, miller_products, p2s_in_group
from dvtfast._native.status cimport Status
from dvtfast._native.weights cimport (
    sum_bytes, sum_in_group, weigh_p1s, weighted_key_sum, weighted_sum, weighted_sums,
)

cdef enum:
    GROUP = 8         # equations of one Miller value by blst; lanes have up to PAIRS_TOGETHER
    LANES = 8
    ALONE = 16        # equations that are tried alone, side by side
    DENSE = 6         # where one equation in so many is bad, each is tried alone

# One side of an equation, not yet exponentiated, and the other, for one or several.
cdef struct Side:
    blst_fp12 miller
    blst_p2 signature


cdef int equations_open(Equations *equations, size_t capacity) noexcept nogil:
    """Room for `capacity` equations; 0, or -1 without memory."""
    cdef size_t one = sizeof(size_t) + sizeof(blst_p1_affine) + 2 * sizeof(blst_p2_affine) + 8
    memset(equations, 0, sizeof(Equations))
    equations.hashes = <blst_p2_affine *> malloc(one * (capacity + 1))
    if equations.hashes == NULL:
        return -1
    equations.signatures = equations.hashes + capacity
    equations.public_keys = <blst_p1_affine *> (equations.signatures + capacity)
    equations.weights = <uint64_t *> (equations.public_keys + capacity)
    equations.rows = <size_t *> (equations.weights + capacity)
    return 0


cdef void equations_close(Equations *equations) noexcept nogil:
    free(equations.hashes)
    equations.hashes = NULL


cdef void equations_add(Equations *equations, size_t row, const blst_p1_affine *public_key,
                        const blst_p2_affine *root_hash, const blst_p2_affine *signature,
                        uint64_t weight) noexcept nogil:
    """Add the equation of row `row`; no point is infinite, hash and key are in their groups, the weight is not 0."""
    cdef size_t i = equations.n
    equations.rows[i] = row
    equations.public_keys[i] = public_key[0]
    equations.signatures[i] = signature[0]
    equations.weights[i] = weight
    equations.hashes[i] = root_hash[0]
    equations.n = i + 1


cdef int equations_judge(Equations *equations, uint8_t *status, const Engine *engine) noexcept nogil:
    """Set status[row] of each equation to OK, NOT_IN_GROUP of its signature, or MISMATCH; 0, or -1 without memory."""
    cdef blst_p2 total
    cdef bint summed
    cdef int failed = 0
    cdef void *room = malloc(sum_bytes(equations.n) + equations.n)
    if room == NULL:
        return -1
    summed = sum_in_group(engine, &total, equations.signatures, equations.weights, equations.n)
    if not summed:
        keep_those_in_group(equations, status, engine, <uint8_t *> room)
    if equations.n == 1:
        status[equations.rows[0]] = Status.MISMATCH
        if equation_holds(equations.public_keys, equations.hashes, equations.signatures):
            status[equations.rows[0]] = Status.OK
    elif equations.n:
        if not summed:
            weighted_sum(engine, &total, equations.signatures, equations.weights, equations.n, room)
        failed = judge_together(equations, status, engine, &total, room)
    free(room)
    return failed


cdef void keep_those_in_group(Equations *equations, uint8_t *status, const Engine *engine,
                              uint8_t *in_group) noexcept nogil:
    """Take equations with signatures outside G2 away."""
    cdef size_t i, n = equations.n
    p2s_in_group(engine, in_group, equations.signatures, n)
    equations.n = 0
    for i in range(n):
        if in_group[i]:
            equations_add(equations, equations.rows[i], &equations.public_keys[i], &equations.hashes[i],
                          &equations.signatures[i], equations.weights[i])
        else:
            status[equations.rows[i]] = Status.NOT_IN_GROUP


cdef int judge_together(const Equations *equations, uint8_t *status, const Engine *engine, const blst_p2 *total,
                        void *room) noexcept nogil:
    """equations_judge of at least two equations with signatures in G2, by their weighted sum."""
    cdef size_t n = equations.n, group = GROUP, eights
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
    cdef bint of_one_hash = have_one_hash(equations), holds
    cdef blst_fp12 product

    if of_one_hash:
        weighted_key_sum(engine, keys, equations.public_keys, equations.weights, n, room)
        miller_of_sum(&product, equations.hashes, keys)
    else:
        weigh_p1s(engine, keys, equations.public_keys, equations.weights, n)
        miller_products(engine, millers, keys, equations.hashes, n, group)
        product = millers[0]
        for i in range(1, sides):
            blst_fp12_mul(&product, &product, &millers[i])
    memset(bad, 0, n)
    holds = pairing_holds(&product, total)
    if not holds and of_one_hash:
        weigh_p1s(engine, keys, equations.public_keys, equations.weights, n)
        millers_of_sums(engine, millers, keys, equations.hashes, n, group)
    if not holds:
        weighted_sums(engine, sums, equations.signatures, equations.weights, n, group, room)
        for i in range(sides):
            groups[i].miller, groups[i].signature = millers[i], sums[i]
        find_bad(equations, groups, sides, group, keys, bad, engine, room)
    for i in range(n):
        status[equations.rows[i]] = Status.MISMATCH if bad[i] else Status.OK
    free(memory)
    return 0


cdef bint have_one_hash(const Equations *equations) noexcept nogil:
    cdef size_t i
    for i in range(1, equations.n):
        if memcmp(&equations.hashes[i], &equations.hashes[0], sizeof(blst_p2_affine)):
            return False
    return True


cdef void miller_of_sum(blst_fp12 *out, const blst_p2_affine *root_hash, const blst_p1_affine *key) noexcept nogil:
    """The Miller value of a sum of keys, which may be infinity."""
    if blst_p1_affine_is_inf(key):
        out[0] = blst_fp12_one()[0]
    else:
        miller_product(out, root_hash, key, 1)


cdef void millers_of_sums(const Engine *engine, blst_fp12 *out, const blst_p1_affine *keys,
                          const blst_p2_affine *hashes, size_t n, size_t group) noexcept nogil:
    """miller_products of pairs whose hashes are one: each is the Miller value of a sum of keys."""
    cdef const blst_p1_affine *contiguous[2]
    cdef blst_p1_affine sums[LANES]
    cdef blst_p1 sum_
    cdef bint infinite
    cdef size_t chunk, first, some, i, j, sides = (n + group - 1) // group
    contiguous[1] = NULL
    for chunk in range((sides + LANES - 1) // LANES):
        first = chunk * LANES
        some = min(<size_t> LANES, sides - first)
        infinite = False
        for i in range(some):
            j = (first + i) * group
            contiguous[0] = keys + j
            blst_p1s_add(&sum_, contiguous, min(group, n - j))
            blst_p1_to_affine(&sums[i], &sum_)
            infinite = infinite or blst_p1_is_inf(&sum_)
        if not infinite:
            miller_products(engine, out + first, sums, hashes, some, 1)
        else:
            for i in range(some):
                miller_of_sum(out + first + i, hashes, &sums[i])


cdef void find_bad(const Equations *equations, const Side *groups, size_t sides, size_t group,
                   const blst_p1_affine *keys, uint8_t *bad, const Engine *engine, void *room) noexcept nogil:
    """Set bad[i] for each equation that fails, in a batch that is known to fail."""
    cdef Side single[PAIRS_TOGETHER]
    cdef blst_fp12 millers[PAIRS_TOGETHER]
    cdef blst_p2 sums[PAIRS_TOGETHER]
    cdef uint8_t bad_group
    cdef size_t i, j, first, size, seen = 0, found = 0
    # bad[i * group] marks group i for now: its place is overwritten when the group is opened.
    bisect(groups, sides, True, bad, group)
    for i in range(sides):
        first = i * group
        size = min(group, equations.n - first)
        bad_group = bad[first]
        bad[first] = 0
        if bad_group and DENSE * found > seen:  # halves would nearly all fail
            for j in range(size):
                bad[first + j] = not equation_holds(&equations.public_keys[first + j], &equations.hashes[first + j],
                                                    &equations.signatures[first + j])
        elif bad_group:
            miller_products(engine, millers, &keys[first], &equations.hashes[first], size, 1)
            weighted_sums(engine, sums, equations.signatures + first, equations.weights + first, size, 1, room)
            for j in range(size):
                single[j].miller, single[j].signature = millers[j], sums[j]
            bisect(single, size, True, bad + first, 1)
        seen += size
        for j in range(size):
            found += bad[first + j]


cdef void equations_hold(const Engine *engine, uint8_t *status, const blst_p1_affine *public_keys,
                         const blst_p2_affine *hashes, const blst_p2_affine *signatures, size_t n) noexcept nogil:
    """MISMATCH for each equation with status OK that does not hold, by itself; lanes compute Miller values only."""
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
    """The two pairs whose product of pairings is 1 when an equation holds."""
    qs[0], qs[1] = root_hash[0], signature[0]
    ps[0], ps[1] = public_key[0], blst_p1_affine_generator()[0]
    blst_fp_cneg(&ps[1].y, &ps[1].y, True)


cdef bint equation_holds(const blst_p1_affine *public_key, const blst_p2_affine *root_hash,
                         const blst_p2_affine *signature) noexcept nogil:
    """Whether one equation holds, by itself; the points are checked and not infinite."""
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
