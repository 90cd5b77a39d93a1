"""Commitments to polynomials: their bytes, sums, membership in G1, values at share indices.

A point is 12 words in blst's affine form; infinity is all zeros. Points of the curve need not be in G1 unless it is said.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.affine cimport add_all
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport (
    ROWS_TOGETHER, Engine, Lanes, decode_p1s, engine_close, engine_open, p1s_in_group,
)
from dvtfast._native.points cimport p1s_to_affine
from dvtfast._native.status cimport Status

cdef enum:
    LANES = 8
    TOGETHER = 448  # rows of one call: of lanes all share inversions
    WEIGHT_BYTES = 16
    COFACTOR_BITS = 64

cdef extern from "api.h" nogil:
    enum:
        DIGIT_BIAS "LANES_DIGIT_BIAS"

# 1 - x: what it multiplies is in G1 (RFC 9380, 8.8.1), lowest byte first.
cdef uint8_t[8] COFACTOR = [0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0xd2]


def decode(const uint8_t[:, ::1] rows not None, uint64_t[:, ::1] points not None, uint8_t[::1] status not None,
           Lanes lanes):
    """Decode uint8[n, 48] into points uint64[n, 12] of the curve; infinity has its own status."""
    cdef Engine engine
    cdef size_t n = rows.shape[0]
    if rows.shape[1] != 48 or points.shape[0] != n or points.shape[1] != 12 or status.shape[0] != n:
        raise ValueError("decode: shapes disagree")
    if n == 0:
        return
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("decode: no memory for the batch")
    with nogil:
        decode_p1s(&engine, <blst_p1_affine *> &points[0, 0], &status[0], &rows[0, 0], n, False)
        engine_close(&engine)


def encode(const uint64_t[:, ::1] points not None, uint8_t[:, ::1] rows not None):
    """rows uint8[n, 48] of points uint64[n, 12], infinity included."""
    cdef size_t i, n = points.shape[0]
    if points.shape[1] != 12 or rows.shape[0] != n or rows.shape[1] != 48:
        raise ValueError("encode: shapes disagree")
    with nogil:
        for i in range(n):
            blst_p1_affine_compress(&rows[i, 0], <const blst_p1_affine *> &points[i, 0])


def add_points(uint64_t[:, ::1] totals not None, const uint64_t[:, ::1] terms not None, Lanes lanes):
    """totals[i] += terms[i], uint64[n, 12]; equal, opposite and infinite points are fine."""
    cdef Engine engine
    cdef uint8_t well[TOGETHER]
    cdef blst_fp scratch[2 * ROWS_TOGETHER]
    cdef blst_fp one = blst_p1_generator()[0].z
    cdef size_t chunk, first, size, i, n = totals.shape[0]
    if totals.shape[1] != 12 or terms.shape[0] != n or terms.shape[1] != 12:
        raise ValueError("add_points: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("add_points: no memory for the batch")
    with nogil:
        for chunk in range((n + TOGETHER - 1) // TOGETHER):
            first = chunk * TOGETHER
            size = min(<size_t> TOGETHER, n - first)
            memset(well, 0, size)
            if engine.lanes != NULL and not any_infinite(&totals[first, 0], size) and not any_infinite(&terms[first, 0], size):
                engine.lanes.add_g1(&totals[first, 0], well, &terms[first, 0], size, engine.scratch)
            add_left(<blst_fp *> &totals[first, 0], <const blst_fp *> &terms[first, 0], well, size, &one, scratch)
        engine_close(&engine)


cdef bint any_infinite(const uint64_t *points, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        if blst_p1_affine_is_inf(<const blst_p1_affine *> (points + 12 * i)):
            return True
    return False


cdef void add_left(blst_fp *totals, const blst_fp *terms, const uint8_t *well, size_t n, const blst_fp *one,
                   blst_fp *scratch) noexcept nogil:
    """totals[i] += terms[i] of the rows that are not well."""
    cdef blst_fp *p[ROWS_TOGETHER]
    cdef const blst_fp *q[ROWS_TOGETHER]
    cdef size_t i, waiting = 0
    for i in range(n):
        if not well[i]:
            p[waiting], q[waiting] = totals + 2 * i, terms + 2 * i
            waiting += 1
        if waiting == ROWS_TOGETHER or (waiting and i == n - 1):
            add_all(p, q, waiting, one, scratch)
            waiting = 0


def check_in_g1(const uint64_t[:, ::1] points not None, uint8_t[::1] status not None, Lanes lanes):
    """OK for each of points uint64[n, 12] of the curve that is in G1 and not infinity."""
    cdef Engine engine
    cdef const blst_p1_affine *rows
    cdef size_t i, n = points.shape[0]
    if points.shape[1] != 12 or status.shape[0] != n:
        raise ValueError("check_in_g1: shapes disagree")
    if n == 0:
        return
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("check_in_g1: no memory for the batch")
    with nogil:
        rows = <const blst_p1_affine *> &points[0, 0]
        p1s_in_group(&engine, &status[0], rows, n)
        for i in range(n):
            if blst_p1_affine_is_inf(&rows[i]):
                status[i] = Status.IS_INFINITY
            else:
                status[i] = Status.OK if status[i] else Status.NOT_IN_GROUP
        engine_close(&engine)


def evaluate(const uint64_t[:, :, ::1] points not None, const uint64_t[::1] share_indices not None,
             uint64_t[:, :, ::1] values not None):
    """values[i, j] = sum over k of share_indices[j]^k points[i, k]: points uint64[n, t, 12], values uint64[n, m, 12]."""
    cdef blst_p1 totals[ROWS_TOGETHER]
    cdef blst_p1_affine affine[ROWS_TOGETHER]
    cdef size_t chunk, first, size, i, j, k, n = points.shape[0], t = points.shape[1], m = share_indices.shape[0]
    if (points.shape[2] != 12 or t == 0 or values.shape[0] != n or values.shape[1] != m or values.shape[2] != 12):
        raise ValueError("evaluate: shapes disagree")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            size = min(<size_t> ROWS_TOGETHER, n - first)
            for j in range(m):
                for i in range(size):
                    blst_p1_from_affine(&totals[i], <const blst_p1_affine *> &points[first + i, t - 1, 0])
                    for k in range(t - 1):  # Horner, highest coefficient first
                        multiply_by(&totals[i], share_indices[j])
                        blst_p1_add_or_double_affine(&totals[i], &totals[i],
                                                     <const blst_p1_affine *> &points[first + i, t - 2 - k, 0])
                p1s_to_affine(affine, totals, size)
                for i in range(size):
                    memcpy(&values[first + i, j, 0], &affine[i], sizeof(blst_p1_affine))


cdef void multiply_by(blst_p1 *point, uint64_t factor) noexcept nogil:
    """point = factor point, factor not 0."""
    cdef blst_p1 own = point[0]
    cdef int bit = 0
    while factor >> bit > 1:
        bit += 1
    while bit:
        bit -= 1
        blst_p1_double(point, point)
        if factor >> bit & 1:
            blst_p1_add_or_double(point, point, &own)


cdef void add_rows(blst_fp *totals, const blst_fp *terms, size_t n, const blst_fp *one, blst_fp *scratch) noexcept nogil:
    """totals[i] += terms[i] of at most ROWS_TOGETHER points."""
    cdef blst_fp *p[ROWS_TOGETHER]
    cdef const blst_fp *q[ROWS_TOGETHER]
    cdef size_t i
    for i in range(n):
        p[i], q[i] = totals + 2 * i, terms + 2 * i
    add_all(p, q, n, one, scratch)


cdef void multiply_rows(blst_fp *rows, size_t factor, blst_fp *copy, size_t n, const blst_fp *one,
                        blst_fp *scratch) noexcept nogil:
    """rows[i] = factor rows[i] of at most ROWS_TOGETHER points, factor not 0."""
    cdef int bit = 0
    memcpy(copy, rows, n * sizeof(blst_p1_affine))
    while factor >> bit > 1:
        bit += 1
    while bit:
        bit -= 1
        add_rows(rows, rows, n, one, scratch)
        if factor >> bit & 1:
            add_rows(rows, copy, n, one, scratch)


def evaluate_in_turn(const uint64_t[:, :, ::1] points not None, uint64_t[:, :, ::1] values not None, Lanes lanes):
    """values[i, j - 1] = sum over k of j^k points[i, k], j = 1 .. m: points uint64[n, t, 12], values uint64[n, m, 12].

    By differences, see c/values.h: after those at 0, of all orders, a value costs t - 1 additions. Points are finite.
    """
    cdef Engine engine
    cdef blst_fp one = blst_p1_generator()[0].z
    cdef size_t i, first, n = points.shape[0], t = points.shape[1], m = values.shape[1]
    if points.shape[2] != 12 or t == 0 or values.shape[0] != n or values.shape[2] != 12:
        raise ValueError("evaluate_in_turn: shapes disagree")
    if n == 0 or m == 0:
        return
    cdef uint8_t *well = <uint8_t *> malloc(n + (t + 2) * ROWS_TOGETHER * sizeof(blst_p1_affine))
    if well == NULL or engine_open(&engine, lanes, NULL, 0):
        free(well)
        raise MemoryError("evaluate_in_turn: no memory for the batch")
    with nogil:
        memset(well, 0, n)
        if engine.lanes != NULL:
            engine.lanes.values_g1(&values[0, 0, 0], well, &points[0, 0, 0], n, t, m, engine.scratch)
        first = 0
        for i in range(n):  # what is left, in runs of at most ROWS_TOGETHER
            if well[i] or i - first == ROWS_TOGETHER:
                values_by_blst(&values[0, 0, 0], &points[0, 0, 0], first, i, t, m, &one, <blst_fp *> (well + n))
                first = i + well[i]
        values_by_blst(&values[0, 0, 0], &points[0, 0, 0], first, n, t, m, &one, <blst_fp *> (well + n))
        engine_close(&engine)
        free(well)


cdef void values_by_blst(uint64_t *values, const uint64_t *points, size_t first, size_t last, size_t t, size_t m,
                         const blst_fp *one, blst_fp *room) noexcept nogil:
    """values[i][j - 1] = sum over k of j^k points[i][k] of rows first .. last - 1. room: t + 2 rows of ROWS_TOGETHER."""
    cdef size_t i, j, k, o, row = 2 * ROWS_TOGETHER, rows = last - first  # a row of all: elements
    cdef blst_fp *scratch = room + t * row
    cdef blst_fp *copy = scratch + row
    if rows == 0:
        return
    for k in range(t):
        for i in range(rows):
            memcpy(room + k * row + 2 * i, points + 12 * ((first + i) * t + k), sizeof(blst_p1_affine))
    for k in range(t - 1, 0, -1):
        for o in range(k, t):
            if o < t - 1:
                add_rows(room + o * row, room + (o + 1) * row, rows, one, scratch)
            multiply_rows(room + o * row, o - k + 1, copy, rows, one, scratch)
    for j in range(m):
        for o in range(min(t - 1, m - j)):
            add_rows(room + o * row, room + (o + 1) * row, rows, one, scratch)
        for i in range(rows):
            memcpy(values + 12 * ((first + i) * m + j), room + 2 * i, sizeof(blst_p1_affine))


cdef bint sum_by_lanes(const Engine *engine, blst_p1 *out, const uint64_t *points, const uint64_t *words,
                       size_t n) noexcept nogil:
    """out = the sum of points[i] with weights of words[i] and words[n + i]; whether it is."""
    cdef blst_p1 windows[2 * LANES]
    cdef size_t i, d
    for i in range(2):
        if not engine.lanes.sum_g1(&windows[LANES * i], points, words + n * i, n, engine.scratch):
            return False
    out[0] = windows[2 * LANES - 1]
    for i in range(2 * LANES - 1, 0, -1):
        for d in range(8):
            blst_p1_double(out, out)
        blst_p1_add_or_double(out, out, &windows[i - 1])
    return True


cdef void sum_by_blst(blst_p1 *out, const uint64_t *points, const uint64_t *words, size_t n, uint64_t *room) noexcept nogil:
    """The same by blst. room: 2 n words and what Pippenger's sums take."""
    cdef uint8_t bias[WEIGHT_BYTES]
    cdef blst_p1 sum_
    cdef const blst_p1_affine *contiguous[2]
    cdef const byte *scalars[2]
    cdef size_t i
    for i in range(n):
        room[2 * i], room[2 * i + 1] = words[i], words[n + i]
    contiguous[0], contiguous[1] = <const blst_p1_affine *> points, NULL
    scalars[0], scalars[1] = <const byte *> room, NULL
    blst_p1s_mult_pippenger(out, contiguous, n, scalars, 8 * WEIGHT_BYTES, <limb_t *> (room + 2 * n))
    memset(bias, DIGIT_BIAS, sizeof(bias))
    blst_p1s_add(&sum_, contiguous, n)
    blst_p1_mult(&sum_, &sum_, bias, 8 * WEIGHT_BYTES)
    blst_p1_cneg(&sum_, True)
    blst_p1_add_or_double(out, out, &sum_)


def weighted_sum(const uint64_t[:, ::1] points not None, const uint8_t[:, ::1] weights not None,
                 uint64_t[::1] total not None, Lanes lanes):
    """total uint64[12] = sum of weights uint8[n, 16] times points uint64[n, 12].

    A weight is its bytes less 128 each as digits to the base 256, the highest first: the number less 0x8080..80.
    """
    cdef Engine engine
    cdef blst_p1 acc
    cdef size_t i, n = points.shape[0]
    if points.shape[1] != 12 or weights.shape[0] != n or weights.shape[1] != WEIGHT_BYTES or total.shape[0] != 12:
        raise ValueError("weighted_sum: shapes disagree")
    if n == 0:
        total[:] = 0
        return
    cdef uint64_t *words = <uint64_t *> malloc(
        2 * n * WEIGHT_BYTES + blst_p1s_mult_pippenger_scratch_sizeof(n))
    if words == NULL or engine_open(&engine, lanes, NULL, 0):
        free(words)
        raise MemoryError("weighted_sum: no memory for the batch")
    with nogil:
        for i in range(n):
            words[i], words[n + i] = big_endian(&weights[i, 8]), big_endian(&weights[i, 0])
        if engine.lanes == NULL or not sum_by_lanes(&engine, &acc, &points[0, 0], words, n):
            sum_by_blst(&acc, &points[0, 0], words, n, words + 2 * n)
        blst_p1_to_affine(<blst_p1_affine *> &total[0], &acc)
        engine_close(&engine)
        free(words)


cdef inline uint64_t big_endian(const uint8_t *bytes_) noexcept nogil:
    cdef uint64_t word = 0
    cdef size_t i
    for i in range(8):
        word = word << 8 | bytes_[i]
    return word


def differ_in_g1(const uint64_t[::1] a not None, const uint64_t[::1] b not None):
    """Whether points uint64[12] of the curve differ by more than a point of an order that divides the cofactor."""
    cdef blst_p1 difference
    if a.shape[0] != 12 or b.shape[0] != 12:
        raise ValueError("differ_in_g1: shapes disagree")
    with nogil:
        blst_p1_from_affine(&difference, <const blst_p1_affine *> &b[0])
        blst_p1_cneg(&difference, True)
        blst_p1_add_or_double_affine(&difference, &difference, <const blst_p1_affine *> &a[0])
        blst_p1_mult(&difference, &difference, COFACTOR, COFACTOR_BITS)
    return not blst_p1_is_inf(&difference)
