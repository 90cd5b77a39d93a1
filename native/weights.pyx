"""Points with the weights of a batch check.

A weight is a word of 64 bits, which the engine reads: with blst it is the number itself, with lanes a + b x^2 of its
halves less 0x88888888 (c/weights.h). Either way the weights of different words differ modulo r, and one word weighs
nothing; `random_weights` leaves out both. All that is summed for one equation goes through one engine.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport ROWS_TOGETHER, Engine, Lanes, engine_close, engine_open
from dvtfast._native.points cimport p1s_to_affine, p2s_to_affine

cdef extern from "api.h" nogil:
    enum:
        MOST_OF_GROUP "LANES_SUMMED"
    const uint64_t ZERO_WEIGHT "LANES_ZERO_WEIGHT"

cdef enum:
    LANES = 8
    MANY = 56        # points, from which on buckets are faster than multiples of each and a subgroup check of each
    WORD_BITS = 64
    SCALAR_BITS = 255
    HALF_BIAS = 0x88888888

# Words that weigh nothing, for one engine or the other.
ZERO_WEIGHTS = (0, ZERO_WEIGHT)


cdef size_t sum_bytes(size_t n) noexcept nogil:
    """Memory that sums of at most n points take."""
    return blst_p2s_mult_pippenger_scratch_sizeof(n) + n * sizeof(blst_scalar)


cdef size_t weight_of(const Engine *engine, blst_scalar *out, uint64_t word) noexcept nogil:
    """The weight of a word as a scalar, and how many bits a weight has."""
    cdef blst_fr a, b, bias, x
    if engine.lanes == NULL:
        memset(out, 0, sizeof(blst_scalar))
        (<uint64_t *> out)[0] = word
        return WORD_BITS
    fr_of(&a, <uint32_t> word)
    fr_of(&b, word >> 32)
    fr_of(&bias, HALF_BIAS)
    fr_of(&x, <uint64_t> 0xd201000000010000)
    blst_fr_sub(&a, &a, &bias)
    blst_fr_sub(&b, &b, &bias)
    blst_fr_mul(&b, &b, &x)
    blst_fr_mul(&b, &b, &x)
    blst_fr_add(&a, &a, &b)
    blst_scalar_from_fr(out, &a)
    return SCALAR_BITS


cdef void fr_of(blst_fr *out, uint64_t value) noexcept nogil:
    cdef uint64_t words[4]
    words[0], words[1], words[2], words[3] = value, 0, 0, 0
    blst_fr_from_uint64(out, words)


cdef void weigh_p1s(const Engine *engine, blst_p1_affine *out, const blst_p1_affine *points, const uint64_t *words,
                    size_t n) noexcept nogil:
    """out[i] = the weight of words[i], which is not 0, times points[i] of G1."""
    cdef uint8_t well[ROWS_TOGETHER]
    cdef blst_p1 *weighted = <blst_p1 *> engine.points
    cdef size_t chunk, first, size, i
    for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
        first = chunk * ROWS_TOGETHER
        size = min(<size_t> ROWS_TOGETHER, n - first)
        if engine.lanes != NULL:
            engine.lanes.weight_g1(out + first, well, points + first, words + first, size, engine.scratch)
            for i in range(size):
                if not well[i]:
                    weigh(engine, weighted, &points[first + i], words[first + i])
                    blst_p1_to_affine(&out[first + i], weighted)
        else:
            for i in range(size):
                weigh(engine, &weighted[i], &points[first + i], words[first + i])
            p1s_to_affine(out + first, weighted, size)


cdef void weigh(const Engine *engine, blst_p1 *out, const blst_p1_affine *point, uint64_t word) noexcept nogil:
    cdef blst_scalar weight
    cdef size_t bits = weight_of(engine, &weight, word)
    blst_p1_from_affine(out, point)
    blst_p1_mult(out, out, weight.b, bits)


cdef void weighted_key_sum(const Engine *engine, blst_p1_affine *out, const blst_p1_affine *points,
                           const uint64_t *words, size_t n, void *room) noexcept nogil:
    """out[0] = the weighted sum of points of G1, n not 0, which may be infinity; out has room for n. room: sum_bytes(n)."""
    cdef const blst_p1_affine *contiguous[2]
    cdef const byte *scalars[2]
    cdef blst_p1 sum_
    contiguous[0], contiguous[1] = points, NULL
    scalars[0], scalars[1] = <const byte *> words, NULL
    if engine.lanes == NULL:
        blst_p1s_mult_pippenger(&sum_, contiguous, n, scalars, WORD_BITS, <limb_t *> room)
    else:
        weigh_p1s(engine, out, points, words, n)
        contiguous[0] = out
        blst_p1s_add(&sum_, contiguous, n)
    blst_p1_to_affine(out, &sum_)


cdef bint sum_in_group(const Engine *engine, blst_p2 *out, const blst_p2_affine *points, const uint64_t *words,
                       size_t n) noexcept nogil:
    """Whether all these points of the curve are in G2, and `out` is their weighted sum.

    With random words it is True of others with probability at most 2^-64. It is False also where nothing was found out.
    """
    cdef blst_p2 sums[LANES]
    cdef int in_group = 0
    if engine.lanes == NULL or n < MANY:
        return False
    if not engine.lanes.sum_by_buckets(sums, &in_group, points, words, n, engine.scratch) or not in_group:
        return False
    add_up(out, sums, LANES)
    return True


cdef void weighted_sum(const Engine *engine, blst_p2 *out, const blst_p2_affine *points, const uint64_t *words,
                       size_t n, void *room) noexcept nogil:
    """The weighted sum of points of G2, n not 0. room: sum_bytes(n)."""
    cdef blst_p2 sums[LANES]
    cdef size_t group = (n + LANES - 1) // LANES
    if sum_in_group(engine, out, points, words, n):
        return
    if engine.lanes == NULL or group > MOST_OF_GROUP:
        sum_by_blst(engine, out, points, words, n, room)
        return
    weighted_sums(engine, sums, points, words, n, group, room)
    add_up(out, sums, (n + group - 1) // group)


cdef void weighted_sums(const Engine *engine, blst_p2 *out, const blst_p2_affine *points, const uint64_t *words,
                        size_t n, size_t group, void *room) noexcept nogil:
    """out[j] = weighted sum of points j * group .. (j + 1) * group - 1 of G2, the last of fewer; room: sum_bytes(n).

    A group has at most MOST_OF_GROUP.
    """
    cdef uint8_t well[LANES]
    cdef blst_p2 sums[LANES]
    cdef size_t together = LANES * group, chunk, first, size, i, row
    for chunk in range((n + together - 1) // together):
        first = chunk * together
        size = min(together, n - first)
        memset(well, 0, LANES)
        if engine.lanes != NULL:
            engine.lanes.weighted_sums(sums, well, points + first, words + first, size, group, engine.scratch)
        for i in range((size + group - 1) // group):
            row = first + i * group
            if well[i]:
                out[chunk * LANES + i] = sums[i]
            else:
                sum_by_blst(engine, &out[chunk * LANES + i], points + row, words + row, min(group, n - row), room)


cdef void add_up(blst_p2 *out, const blst_p2 *sums, size_t n) noexcept nogil:
    cdef size_t i
    out[0] = sums[0]
    for i in range(1, n):
        blst_p2_add_or_double(out, out, &sums[i])


cdef void sum_by_blst(const Engine *engine, blst_p2 *out, const blst_p2_affine *points, const uint64_t *words,
                      size_t n, void *room) noexcept nogil:
    """The same as weighted_sum, by blst alone."""
    cdef blst_scalar *weights = <blst_scalar *> room
    cdef const blst_p2_affine *contiguous[2]
    cdef const byte *scalars[2]
    cdef size_t bits, i
    contiguous[0], contiguous[1] = points, NULL
    scalars[0], scalars[1] = <const byte *> words, NULL
    if engine.lanes == NULL:
        bits = WORD_BITS
    else:
        scalars[0] = <const byte *> weights
        for i in range(n):
            bits = weight_of(engine, &weights[i], words[i])
    blst_p2s_mult_pippenger(out, contiguous, n, scalars, bits, <limb_t *> (weights + n))


def weigh_keys(const uint64_t[:, ::1] points not None, const uint64_t[::1] words not None,
               uint64_t[:, ::1] weighted not None, Lanes lanes):
    """weighted[i] = points[i] of G1, uint64[n, 12], times the weight of words[i]."""
    cdef Engine engine
    cdef size_t n = points.shape[0]
    if (points.shape[1] != 12 or words.shape[0] != n or weighted.shape[0] != n or weighted.shape[1] != 12):
        raise ValueError("weigh_keys: shapes disagree")
    if n == 0:
        return
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("weigh_keys: no memory for the batch")
    with nogil:
        weigh_p1s(&engine, <blst_p1_affine *> &weighted[0, 0], <const blst_p1_affine *> &points[0, 0], &words[0], n)
        engine_close(&engine)


def sum_signatures(const uint64_t[:, ::1] points not None, const uint64_t[::1] words not None,
                   uint64_t[::1] total not None, Lanes lanes):
    """total = weighted sum of points uint64[n, 24]; whether that showed that all are in G2, if not they must be."""
    cdef Engine engine
    cdef blst_p2 sum_
    cdef bint in_group
    cdef size_t n = points.shape[0]
    cdef void *room
    if points.shape[1] != 24 or words.shape[0] != n or total.shape[0] != 24 or n == 0:
        raise ValueError("sum_signatures: shapes disagree")
    room = malloc(sum_bytes(n))
    if room == NULL or engine_open(&engine, lanes, NULL, 0):
        free(room)
        raise MemoryError("sum_signatures: no memory for the batch")
    with nogil:
        in_group = sum_in_group(&engine, &sum_, <const blst_p2_affine *> &points[0, 0], &words[0], n)
        if not in_group:
            weighted_sum(&engine, &sum_, <const blst_p2_affine *> &points[0, 0], &words[0], n, room)
        blst_p2_to_affine(<blst_p2_affine *> &total[0], &sum_)
        engine_close(&engine)
        free(room)
    return in_group
