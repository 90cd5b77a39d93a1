"""Lanes: which builds of them there are, and batches that go through them.

Each batch function does what blst does, row by row: with an engine that has lanes eight rows at a time, and
blst again for rows that these leave over. Where lanes say `well` that is 1, which is Status.OK. Points are
never infinity unless it is said.
"""
cimport cython
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from dvtfast._native.blst cimport *
from dvtfast._native.points cimport (
    DST_SIGNATURE, DST_SIGNATURE_BYTES, decode_p1, decode_p2, hash_root, p2s_to_affine,
)
from dvtfast._native.status cimport Status

cdef extern from *:
    """
    #ifdef WITH_LANES_IFMA
    #define IFMA_OR_NULL (lanes_ifma_runs_here() ? &lanes_ifma : NULL)
    #else
    #define IFMA_OR_NULL NULL
    #endif
    #ifdef WITH_LANES_CHECKED
    #define CHECKED_OR_NULL (&lanes_checked)
    #else
    #define CHECKED_OR_NULL NULL
    #endif
    _Static_assert(LANES_PAIRS == 32, "PAIRS_TOGETHER is another number");
    """
    const Operations *IFMA_OR_NULL
    const Operations *CHECKED_OR_NULL

cdef enum:
    SCRATCH_ALIGNMENT = 64
    UNIFORM_BYTES = 256  # that hashing to G2 makes of a message


cdef const Operations *operations_named(str name):
    if name == "ifma":
        return IFMA_OR_NULL
    return CHECKED_OR_NULL if name == "checked" else NULL


@cython.final
cdef class Lanes:
    """One build of the lanes: "ifma", or "checked" where tests run."""

    def __cinit__(self, str name not None):
        self.operations = operations_named(name)
        if self.operations == NULL:
            raise ValueError(f"Lanes: none are named {name!r} here")

    @property
    def name(self):
        """As it was found."""
        return self.operations.name.decode()

    @property
    def checks(self):
        """Operands that the checked build has checked in this thread."""
        return self.operations.checks()


def find(str name not None):
    """The lanes of this name, None where this build or processor has none."""
    return None if operations_named(name) == NULL else Lanes(name)


cdef int engine_open(Engine *engine, Lanes lanes, const Plan *plan, size_t k) noexcept:
    """An engine with these lanes, None for none; 0, or -1 without memory.

    It can interpolate by `plan`, NULL for none, and split for k oracles.
    """
    cdef size_t of_lanes = 0, alignment
    memset(engine, 0, sizeof(Engine))
    if lanes is not None:
        engine.lanes = lanes.operations
        of_lanes = engine.lanes.scratch_bytes(plan, k)
    engine.n_bytes = SCRATCH_ALIGNMENT + of_lanes + ROWS_TOGETHER * (UNIFORM_BYTES + sizeof(blst_p2))
    engine.memory = <char *> malloc(engine.n_bytes)
    if engine.memory == NULL:
        return -1
    alignment = SCRATCH_ALIGNMENT - <size_t> engine.memory % SCRATCH_ALIGNMENT
    engine.scratch = engine.memory + alignment
    engine.points = engine.memory + alignment + of_lanes
    engine.uniform = <uint8_t *> engine.points + ROWS_TOGETHER * sizeof(blst_p2)
    return 0


cdef void engine_close(Engine *engine) noexcept nogil:
    free(engine.memory)
    engine.memory = NULL


cdef void decode_p1s(const Engine *engine, blst_p1_affine *out, uint8_t *status, const uint8_t *rows, size_t n,
                     bint subgroup) noexcept nogil:
    """out[i] and status[i] from rows[i][48], as decode_p1 does."""
    cdef size_t i
    memset(status, 0, n)
    if engine.lanes != NULL:
        engine.lanes.decode_g1(out, status, rows, n, subgroup)
    for i in range(n):
        if status[i] != Status.OK:
            status[i] = decode_p1(&out[i], rows + 48 * i, subgroup)


cdef void decode_p2s(const Engine *engine, blst_p2_affine *out, uint8_t *status, const uint8_t *rows, size_t n,
                     bint subgroup) noexcept nogil:
    """out[i] and status[i] from rows[i][96], as decode_p2 does."""
    cdef size_t i
    memset(status, 0, n)
    if engine.lanes != NULL:
        engine.lanes.decode_g2(out, status, rows, n, subgroup)
    for i in range(n):
        if status[i] != Status.OK:
            status[i] = decode_p2(&out[i], rows + 96 * i, subgroup)


cdef void p1s_in_group(const Engine *engine, uint8_t *in_group, const blst_p1_affine *points, size_t n) noexcept nogil:
    """Which points of the curve are in G1; infinity is not asked for."""
    cdef size_t i
    memset(in_group, 0, n)
    if engine.lanes != NULL:
        engine.lanes.in_g1(in_group, points, n)
    for i in range(n):
        if not in_group[i]:
            in_group[i] = blst_p1_affine_in_g1(&points[i])


cdef void p2s_in_group(const Engine *engine, uint8_t *in_group, const blst_p2_affine *points, size_t n) noexcept nogil:
    """Which points of the curve are in G2; infinity is not asked for."""
    cdef size_t i
    memset(in_group, 0, n)
    if engine.lanes != NULL:
        engine.lanes.in_g2(in_group, points, n)
    for i in range(n):
        if not in_group[i]:
            in_group[i] = blst_p2_affine_in_g2(&points[i])


cdef void hash_roots_to(const Engine *engine, blst_p2_affine *out, const uint8_t *roots, size_t n) noexcept nogil:
    """Hashes of roots[n][32] under the signature DST; at most ROWS_TOGETHER."""
    cdef uint8_t well[ROWS_TOGETHER]
    cdef blst_p2 *points = <blst_p2 *> engine.points
    cdef size_t i
    if engine.lanes == NULL:
        for i in range(n):
            hash_root(&points[i], roots + 32 * i)
        p2s_to_affine(out, points, n)
        return
    for i in range(n):
        blst_expand_message_xmd(engine.uniform + UNIFORM_BYTES * i, UNIFORM_BYTES, roots + 32 * i, 32, DST_SIGNATURE,
                                DST_SIGNATURE_BYTES)
    engine.lanes.hash_to_g2(out, well, engine.uniform, n, engine.scratch)
    for i in range(n):
        if not well[i]:
            hash_root(points, roots + 32 * i)
            blst_p2_to_affine(&out[i], points)


cdef void sign_hashes(const Engine *engine, blst_p2_affine *points, const blst_scalar *secrets, size_t n) noexcept nogil:
    """points[i] = secrets[i] * points[i], of scalars of 1..r-1; constant-time in them. At most ROWS_TOGETHER."""
    cdef uint8_t well[ROWS_TOGETHER]
    cdef blst_p2_affine *signatures = <blst_p2_affine *> engine.points
    cdef blst_p2 signature
    cdef size_t i
    memset(well, 0, n)
    if engine.lanes != NULL:  # a scalar is its words, lowest first
        engine.lanes.multiply_g2(signatures, well, points, secrets, n, engine.scratch)
    for i in range(n):
        if well[i]:
            points[i] = signatures[i]
        else:
            blst_p2_from_affine(&signature, &points[i])
            blst_sign_pk_in_g1(&signature, &signature, &secrets[i])
            blst_p2_to_affine(&points[i], &signature)


cdef void miller_products(const Engine *engine, blst_fp12 *out, const blst_p1_affine *keys,
                          const blst_p2_affine *hashes, size_t n, size_t group) noexcept nogil:
    """out[j] = product of the Miller values of pairs j * group .. (j + 1) * group - 1, the last of fewer.

    Of lanes it is that but for a factor that the final exponentiation loses.
    """
    cdef uint8_t well[ROWS_TOGETHER]
    cdef size_t chunk, first, some, i, sides = (n + group - 1) // group
    for chunk in range((sides + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
        first = chunk * ROWS_TOGETHER
        some = min(<size_t> ROWS_TOGETHER, sides - first)
        memset(well, 0, some)
        if engine.lanes != NULL:
            engine.lanes.miller(&out[first], well, &keys[first * group], &hashes[first * group],
                                min(some * group, n - first * group), group, engine.scratch)
        for i in range(first, first + some):
            if not well[i - first]:
                miller_product(&out[i], &hashes[i * group], &keys[i * group], min(group, n - i * group))


cdef void miller_product(blst_fp12 *out, const blst_p2_affine *hashes, const blst_p1_affine *keys,
                         size_t n) noexcept nogil:
    """out = product of n Miller values, by blst."""
    cdef const blst_p2_affine *qs[2]
    cdef const blst_p1_affine *ps[2]
    qs[0], qs[1] = hashes, NULL
    ps[0], ps[1] = keys, NULL
    blst_miller_loop_n(out, qs, ps, n)
