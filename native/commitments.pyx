"""Commitments to polynomials: multiples of the generator, sums of points, values at share indices.

A point is 12 words in blst's affine form; infinity is all zeros. Points of the curve need not be in G1 unless it is said.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.affine cimport add_all
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport ROWS_TOGETHER, Engine, Lanes, decode_p1s, engine_close, engine_open
from dvtfast._native.points cimport p1s_to_affine
from dvtfast._native.status cimport Status

cdef enum:
    WEIGHT_BYTES = 16
    COFACTOR_BITS = 64

# 1 - x: what it multiplies is in G1 (RFC 9380, 8.8.1), lowest byte first.
cdef uint8_t[8] COFACTOR = [0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0xd2]


def multiply_base(const uint8_t[:, ::1] scalars not None, uint64_t[:, ::1] points not None):
    """points uint64[n, 12] = scalars uint8[n, 32] times the generator; constant-time in scalars, which are below r."""
    cdef blst_scalar scalar
    cdef blst_p1 multiples[ROWS_TOGETHER]
    cdef size_t chunk, first, size, i, n = scalars.shape[0]
    if scalars.shape[1] != 32 or points.shape[0] != n or points.shape[1] != 12:
        raise ValueError("multiply_base: shapes disagree")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            size = min(<size_t> ROWS_TOGETHER, n - first)
            for i in range(size):
                blst_scalar_from_bendian(&scalar, &scalars[first + i, 0])
                blst_sk_to_pk_in_g1(&multiples[i], &scalar)
            p1s_to_affine(<blst_p1_affine *> &points[first, 0], multiples, size)
        wipe(&scalar, sizeof(scalar))
        wipe(multiples, sizeof(multiples))


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


def add_points(uint64_t[:, ::1] totals not None, const uint64_t[:, ::1] terms not None):
    """totals[i] += terms[i], uint64[n, 12]; equal, opposite and infinite points are fine."""
    cdef blst_fp *p[ROWS_TOGETHER]
    cdef const blst_fp *q[ROWS_TOGETHER]
    cdef blst_fp scratch[2 * ROWS_TOGETHER]
    cdef blst_fp one = blst_p1_generator()[0].z
    cdef size_t chunk, first, size, i, n = totals.shape[0]
    if totals.shape[1] != 12 or terms.shape[0] != n or terms.shape[1] != 12:
        raise ValueError("add_points: shapes disagree")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            size = min(<size_t> ROWS_TOGETHER, n - first)
            for i in range(size):
                p[i] = <blst_fp *> &totals[first + i, 0]
                q[i] = <const blst_fp *> &terms[first + i, 0]
            add_all(p, q, size, &one, scratch)


def check_in_g1(const uint64_t[:, ::1] points not None, uint8_t[::1] status not None):
    """OK for each of points uint64[n, 12] of the curve that is in G1 and not infinity."""
    cdef size_t i, n = points.shape[0]
    cdef const blst_p1_affine *point
    if points.shape[1] != 12 or status.shape[0] != n:
        raise ValueError("check_in_g1: shapes disagree")
    with nogil:
        for i in range(n):
            point = <const blst_p1_affine *> &points[i, 0]
            if blst_p1_affine_is_inf(point):
                status[i] = Status.IS_INFINITY
            else:
                status[i] = Status.OK if blst_p1_affine_in_g1(point) else Status.NOT_IN_GROUP


def evaluate(const uint64_t[:, :, ::1] points not None, const uint64_t[::1] share_indices not None,
             uint64_t[:, :, ::1] values not None):
    """values[i, j] = sum over k of share_indices[j]^k points[i, k]: points uint64[n, t, 12], values uint64[n, m, 12]."""
    cdef uint8_t index[8]
    cdef blst_p1 acc
    cdef size_t i, j, k, bits, n = points.shape[0], t = points.shape[1], m = share_indices.shape[0]
    if (points.shape[2] != 12 or t == 0 or values.shape[0] != n or values.shape[1] != m or values.shape[2] != 12):
        raise ValueError("evaluate: shapes disagree")
    with nogil:
        for j in range(m):
            bits = 0
            for k in range(8):
                index[k] = <uint8_t> (share_indices[j] >> (8 * k))
            while bits < 64 and share_indices[j] >> bits:
                bits += 1
            for i in range(n):
                blst_p1_from_affine(&acc, <const blst_p1_affine *> &points[i, t - 1, 0])
                for k in range(t - 1):  # Horner, highest coefficient first
                    blst_p1_mult(&acc, &acc, index, bits)
                    blst_p1_add_or_double_affine(&acc, &acc, <const blst_p1_affine *> &points[i, t - 2 - k, 0])
                blst_p1_to_affine(<blst_p1_affine *> &values[i, j, 0], &acc)


def weighted_sum(const uint64_t[:, ::1] points not None, const uint8_t[:, ::1] weights not None,
                 uint64_t[::1] total not None):
    """total = sum of weights[i] points[i]: uint64[12], big-endian uint8[n, 16] and uint64[n, 12]."""
    cdef blst_p1 acc
    cdef const blst_p1_affine *contiguous[2]
    cdef const byte *scalars[2]
    cdef size_t i, j, n = points.shape[0]
    if points.shape[1] != 12 or weights.shape[0] != n or weights.shape[1] != WEIGHT_BYTES or total.shape[0] != 12:
        raise ValueError("weighted_sum: shapes disagree")
    if n == 0:
        total[:] = 0
        return
    cdef uint8_t *reversed_ = <uint8_t *> malloc(n * WEIGHT_BYTES)
    cdef limb_t *scratch = <limb_t *> malloc(blst_p1s_mult_pippenger_scratch_sizeof(n))
    if reversed_ == NULL or scratch == NULL:
        free(reversed_)
        free(scratch)
        raise MemoryError("weighted_sum: no memory for the batch")
    with nogil:
        for i in range(n):
            for j in range(WEIGHT_BYTES):
                reversed_[i * WEIGHT_BYTES + j] = weights[i, WEIGHT_BYTES - 1 - j]
        contiguous[0], contiguous[1] = <const blst_p1_affine *> &points[0, 0], NULL
        scalars[0], scalars[1] = reversed_, NULL
        blst_p1s_mult_pippenger(&acc, contiguous, n, scalars, 8 * WEIGHT_BYTES, scratch)
        blst_p1_to_affine(<blst_p1_affine *> &total[0], &acc)
        free(reversed_)
        free(scratch)


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
