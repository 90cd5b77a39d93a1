"""Multiples of the generator of G1: tables of them, and by secret scalars."""
cimport cython
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport Engine, Lanes, engine_close, engine_open
from dvtfast._native.points cimport p1s_to_affine
from dvtfast._native.status cimport Status

cdef extern from "generator.h" nogil:
    enum:
        WINDOWS "GENERATOR_WINDOWS"
        MULTIPLES "GENERATOR_MULTIPLES"
    void generator_multiply(void *points, uint8_t *well, const void *scalars, const void *table, size_t n) noexcept

cdef enum:
    ROW_WORDS = 16  # of a point in the lanes' own form
    ALIGNMENT = 64
    TOGETHER = 448  # rows of one call: of lanes all share inversions
    FEW = 4         # rows; fewer do not share the inversions of a comb enough


cdef blst_p1_affine *multiples(size_t windows, bint odd) except NULL:
    """[windows][128]: (j + 1) * 2^(8w) * G1, or (2j + 1) * 2^(8w) * G1; the caller's."""
    cdef size_t n = windows * MULTIPLES, i, w
    cdef blst_p1 *points = <blst_p1 *> malloc(n * sizeof(blst_p1))
    cdef blst_p1_affine *out = <blst_p1_affine *> malloc(n * sizeof(blst_p1_affine))
    cdef blst_p1 base = blst_p1_generator()[0], step
    if points == NULL or out == NULL:
        free(points)
        free(out)
        raise MemoryError("multiples: no memory")
    for w in range(windows):
        step = base
        if odd:
            blst_p1_double(&step, &base)
        points[w * MULTIPLES] = base
        for i in range(w * MULTIPLES + 1, (w + 1) * MULTIPLES):
            blst_p1_add_or_double(&points[i], &points[i - 1], &step)
        for i in range(8):
            blst_p1_double(&base, &base)
    p1s_to_affine(out, points, n)
    free(points)
    return out


@cython.final
cdef class Comb:
    """Odd multiples of the generator, for blst and for these lanes; made once, read by every multiplication."""

    def __cinit__(self, Lanes lanes):
        cdef uint64_t *rows
        cdef size_t i, j, w, words = WINDOWS * MULTIPLES * ROW_WORDS
        self.points = multiples(WINDOWS, True)
        if lanes is None:
            return
        self.memory = malloc(words * sizeof(uint64_t) + ALIGNMENT)
        rows = <uint64_t *> malloc(words * sizeof(uint64_t))
        if self.memory == NULL or rows == NULL:
            free(rows)
            raise MemoryError("Comb: no memory")
        self.limbs = <uint64_t *> (<size_t> self.memory + ALIGNMENT - <size_t> self.memory % ALIGNMENT)
        lanes.operations.make_table(rows, self.points, WINDOWS * MULTIPLES)
        for w in range(WINDOWS):
            for j in range(MULTIPLES):
                for i in range(ROW_WORDS):
                    self.limbs[(w * ROW_WORDS + i) * MULTIPLES + j] = rows[(w * MULTIPLES + j) * ROW_WORDS + i]
        free(rows)

    def __dealloc__(self):
        free(self.points)
        free(self.memory)


def multiply_generator(const uint8_t[:, ::1] scalars not None, uint64_t[:, ::1] points not None, Comb comb, Lanes lanes):
    """points uint64[n, 12] = scalars uint8[n, 32], below r, times the generator; infinity is all zeros.

    Constant-time in the scalars. The comb is for these lanes, or None: then blst does it alone.
    """
    cdef uint8_t well[TOGETHER]
    cdef blst_scalar secrets[TOGETHER]
    cdef blst_p1 point
    cdef Engine engine
    cdef size_t chunk, first, size, i, n = scalars.shape[0]
    if scalars.shape[1] != 32 or points.shape[0] != n or points.shape[1] != 12:
        raise ValueError("multiply_generator: shapes disagree")
    if lanes is not None and (comb is None or comb.limbs == NULL):
        raise ValueError("multiply_generator: the comb is not for lanes")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("multiply_generator: no memory for the batch")
    with nogil:
        for chunk in range((n + TOGETHER - 1) // TOGETHER):
            first = chunk * TOGETHER
            size = min(<size_t> TOGETHER, n - first)
            for i in range(size):
                blst_scalar_from_bendian(&secrets[i], &scalars[first + i, 0])
            memset(well, 0, size)
            if engine.lanes != NULL:
                engine.lanes.multiply_base(&points[first, 0], well, secrets, comb.limbs, size, engine.scratch)
            elif comb is not None and size >= FEW:
                generator_multiply(&points[first, 0], well, secrets, comb.points, size)
            for i in range(size):
                if not well[i]:
                    blst_sk_to_pk_in_g1(&point, &secrets[i])
                    blst_p1_to_affine(<blst_p1_affine *> &points[first + i, 0], &point)
        wipe(secrets, sizeof(secrets))
        wipe(&point, sizeof(point))
        wipe(engine.memory, engine.n_bytes)
        engine_close(&engine)
