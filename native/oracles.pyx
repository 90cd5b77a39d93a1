"""The oracle split: shares S + f(j)*H and P + f(j)*G1 for j = 1..k, f(0) = 0, degree of f below t.

The masks f(1) .. f(t-1) fix f. Their multiples of H and G1 are computed in affine coordinates, a
chunk of validators at a time, so that one inversion serves a whole round of additions:

* G1 is fixed: signed 8-bit windows from a table made once, 32 additions a multiple.
* H is fixed for each validator. On G2 the endomorphism psi multiplies by the curve parameter x, and
  r = x^4 - x^2 + 1, so a mask is written in base |x| as four digits of 64 bits, and 64 doublings give
  the points of all 256 bits. Up to SHARED masks use them together: a point is added once, to the
  bucket of the masks that have its bit; then the buckets are added up to the multiples.

f(t) .. f(k) follow by differences: the t-th differences of a polynomial of degree below t vanish. Lanes
multiply the differences of f at 0, eight validators side by side, each with a table of its hash in place of
the buckets; those that meet an exception of the additions go here again.
Variable time: masks are used once. They, and what is made of them, are wiped.
"""
cimport cython
from libc.stdint cimport int8_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.affine cimport (
    Round, field_t, negate, queue, queue_rows, round_bytes, round_open, run,
)
from dvtfast._native.blst cimport *
from dvtfast._native.generator cimport multiples
from dvtfast._native.lanes cimport Engine, Lanes, decode_p2s, engine_close, engine_open
from dvtfast._native.masks cimport (
    BYTE_WINDOWS, DIGITS, SCALAR_BYTES, Offsets, differences_at_0, digits_of, odd_windows, set_offsets, signed_bytes,
)
from dvtfast._native.points cimport p1s_to_affine
from dvtfast._native.psi cimport PSI, minus_psi, psi_squared
from dvtfast._native.status cimport Status

cdef enum:
    CHUNK = 32            # validators whose additions share an inversion
    BASE_MULTIPLES = 128  # of the fixed base G1, for each byte of a mask
    ODD_WINDOWS = 16      # bytes of a mask's digits in base x^2
    ROW_WORDS = 16        # of a table of the lanes
    ROW_ALIGNMENT = 64
    DIGIT_BITS = 64
    BITS = 256            # DIGITS * DIGIT_BITS
    SHARED = 7            # masks that share buckets
    BUCKETS = 128         # 2^SHARED


@cython.final
cdef class BaseTable:
    """Multiples of the generator of G1, for blst and for these lanes; made once, read by every split."""
    cdef blst_p1_affine *points  # [BYTE_WINDOWS][BASE_MULTIPLES]: (j + 1) * 2^(8w) * G1
    cdef uint64_t *rows          # [ODD_WINDOWS][BASE_MULTIPLES]: (2j + 1) * 2^(8w) * G1; NULL without lanes
    cdef void *rows_memory

    def __cinit__(self, Lanes lanes):
        cdef size_t n = ODD_WINDOWS * BASE_MULTIPLES
        cdef blst_p1_affine *points
        self.points = multiples(BYTE_WINDOWS, False)
        if lanes is None:
            return
        points = multiples(ODD_WINDOWS, True)
        self.rows_memory = malloc(n * ROW_WORDS * sizeof(uint64_t) + ROW_ALIGNMENT)
        if self.rows_memory == NULL:
            free(points)
            raise MemoryError("BaseTable: no memory")
        self.rows = <uint64_t *> (<size_t> self.rows_memory + ROW_ALIGNMENT - <size_t> self.rows_memory % ROW_ALIGNMENT)
        lanes.operations.make_table(self.rows, points, n)
        free(points)

    def __dealloc__(self):
        free(self.points)
        free(self.rows_memory)


cdef inline void pick(field_t *term, const field_t *multiples, size_t stride, int window) noexcept nogil:
    """term = window * base; `multiples` has 1, 2, ... times the base, `stride` points apart."""
    cdef int multiple = -window if window < 0 else window
    if multiple == 0:
        memset(term, 0, 2 * sizeof(field_t))
    else:
        memcpy(term, multiples + 2 * stride * (multiple - 1), 2 * sizeof(field_t))
        negate(&term[1], window < 0)


# Room for a chunk of validators, the `rows` of them that are to be split. In values, a row is one point of each.

cdef struct Room:
    Engine engine
    Round round
    size_t rows, drawn, k
    size_t *members         # [rows]: where in the batch they are
    blst_p2_affine *signatures
    blst_p2_affine *hashes
    blst_p1_affine *keys
    # of the split by blst
    uint64_t *digits        # [rows][drawn][DIGITS]
    int8_t *windows         # [rows][drawn][BYTE_WINDOWS]
    blst_fp2 *bits          # [rows][BITS]: 2^b * |x|^d * H
    blst_fp2 *buckets       # [rows][BUCKETS]
    uint8_t *bucket_of      # [rows][BITS]
    uint8_t *occurrence     # [rows][BITS]: how many bits before went to the same bucket
    blst_fp2 *values2       # [k + 1][rows], f(0) first
    blst_fp2 *differences2
    blst_fp2 *terms2
    blst_fp *values1
    blst_fp *differences1
    blst_fp *terms1
    # of the split by lanes
    blst_fr *masks          # [drawn + 1]
    uint8_t *scalars2       # [rows][drawn][SCALAR_BYTES]
    uint8_t *scalars1
    blst_p2_affine *shares2 # [rows][k]
    blst_p1_affine *shares1
    uint8_t *well           # [2][rows]


cdef void extend(field_t *values, field_t *differences, field_t *terms, Round *round, size_t rows, size_t drawn,
                 size_t k, const field_t *one) noexcept nogil:
    """From rows f(0) .. f(drawn) of `values` fill f(drawn + 1) .. f(k); a row has `rows` points."""
    cdef size_t row = 2 * rows, order, j
    cdef field_t *last = differences + row * (drawn + 1)  # backward differences at the last known place
    memcpy(differences, values, row * (drawn + 1) * sizeof(field_t))
    memcpy(last, differences + row * drawn, row * sizeof(field_t))
    for order in range(1, drawn + 1):
        memcpy(terms, differences + row * (order - 1), row * (drawn + 1 - order) * sizeof(field_t))
        for j in range(rows * (drawn + 1 - order)):
            negate(&terms[2 * j + 1], True)
        queue_rows(round, differences + row * order, terms, rows * (drawn + 1 - order))
        run(round, one)
        memcpy(last + row * order, differences + row * drawn, row * sizeof(field_t))
    for j in range(drawn + 1, k + 1):
        for order in range(drawn, 0, -1):
            queue_rows(round, last + row * (order - 1), last + row * order, rows)
            run(round, one)
        memcpy(values + row * j, last, row * sizeof(field_t))


cdef void add_to_all(field_t *values, const field_t *points, Round *round, size_t rows, size_t drawn,
                     const field_t *one) noexcept nogil:
    """From f(0) .. f(drawn), f(0) = 0, to the values of points + f."""
    cdef size_t j
    memcpy(values, points, 2 * rows * sizeof(field_t))
    for j in range(1, drawn + 1):
        queue_rows(round, values + 2 * rows * j, points, rows)
    run(round, one)


cdef void multiply_generator(Room *room, BaseTable table) noexcept nogil:
    """Rows f(1) .. f(drawn) of values1 = f(j) * G1."""
    cdef size_t rows = room.rows, drawn = room.drawn, i, j, w
    cdef blst_fp *totals = room.values1 + 2 * rows
    memset(totals, 0, 2 * rows * drawn * sizeof(blst_fp))
    for w in range(BYTE_WINDOWS):
        for j in range(drawn):
            for i in range(rows):
                pick(&room.terms1[2 * (j * rows + i)], <const blst_fp *> (table.points + w * BASE_MULTIPLES), 1,
                     room.windows[(i * drawn + j) * BYTE_WINDOWS + w])
        queue_rows(&room.round, totals, room.terms1, rows * drawn)
        run(&room.round, &PSI.one.fp[0])


cdef void make_bits(Room *room) noexcept nogil:
    """The points of all bits, of each hash."""
    cdef blst_fp2 *point
    cdef size_t rows = room.rows, i, b
    for b in range(DIGIT_BITS):
        for i in range(rows):
            point = room.bits + 2 * (BITS * i + b)
            memcpy(point, <const blst_fp2 *> &room.hashes[i] if b == 0 else point - 2, 2 * sizeof(blst_fp2))
            if b:
                queue(&room.round, point, point)
        run(&room.round, &PSI.one)
    for i in range(rows):
        for b in range(DIGIT_BITS, BITS):
            point = room.bits + 2 * (BITS * i + b)
            if b < 2 * DIGIT_BITS:
                minus_psi(point, point - 2 * DIGIT_BITS)
            else:
                psi_squared(point, point - 4 * DIGIT_BITS)


cdef void multiply_hashes(Room *room, size_t first, size_t shared) noexcept nogil:
    """Rows f(first + 1) .. f(first + shared) of values2 = f(j) * H."""
    cdef uint8_t counts[BUCKETS]
    cdef const uint64_t *digits
    cdef blst_fp2 *buckets
    cdef size_t rows = room.rows, drawn = room.drawn, i, b, m, bucket, width, half, most = 1, nth
    memset(room.buckets, 0, 2 * rows * BUCKETS * sizeof(blst_fp2))
    for i in range(rows):
        memset(counts, 0, sizeof(counts))
        for b in range(BITS):
            digits = room.digits + (i * drawn + first) * DIGITS + b // DIGIT_BITS
            bucket = 0
            for m in range(shared):
                bucket |= ((digits[m * DIGITS] >> (b % DIGIT_BITS)) & 1) << m
            room.bucket_of[BITS * i + b] = <uint8_t> bucket
            room.occurrence[BITS * i + b] = counts[bucket]
            if bucket:
                if counts[bucket] == 0:
                    memcpy(room.buckets + 2 * (BUCKETS * i + bucket), room.bits + 2 * (BITS * i + b),
                           2 * sizeof(blst_fp2))
                counts[bucket] += 1
                most = max(most, <size_t> counts[bucket])
    wipe(counts, sizeof(counts))
    for nth in range(1, most):
        for i in range(rows):
            for b in range(BITS):
                bucket = room.bucket_of[BITS * i + b]
                if bucket and room.occurrence[BITS * i + b] == nth:
                    queue(&room.round, room.buckets + 2 * (BUCKETS * i + bucket), room.bits + 2 * (BITS * i + b))
        run(&room.round, &PSI.one)
    # Buckets with the highest bit count for the lower bits too.
    for m in range(shared - 1, 0, -1):
        width = <size_t> 1 << m
        for i in range(rows):
            buckets = room.buckets + 2 * BUCKETS * i
            queue_rows(&room.round, buckets + 2, buckets + 2 * (width + 1), width - 1)
        run(&room.round, &PSI.one)
    # What is left of mask m are the buckets 2^m .. 2^(m+1) - 1: added up into the first one.
    half = <size_t> 1 << (shared - 1)
    while half > 1:
        half //= 2
        for i in range(rows):
            width = 2 * half
            while width < (<size_t> 1 << shared):
                buckets = room.buckets + 2 * (BUCKETS * i + width)
                queue_rows(&room.round, buckets, buckets + 2 * half, half)
                width *= 2
        run(&room.round, &PSI.one)
    for m in range(shared):
        for i in range(rows):
            memcpy(room.values2 + 2 * ((first + m + 1) * rows + i), room.buckets + 2 * (BUCKETS * i + (<size_t> 1 << m)),
                   2 * sizeof(blst_fp2))


cdef void split_by_blst(Room *room, const uint8_t[:, :, ::1] masks, uint8_t[:, :, ::1] public_key_shares,
                        uint8_t[:, :, ::1] signature_shares, BaseTable table) noexcept nogil:
    """All rows in step."""
    cdef size_t rows = room.rows, drawn = room.drawn, k = room.k, groups = (drawn + SHARED - 1) // SHARED, i, j
    cdef blst_scalar mask
    for i in range(rows):
        for j in range(drawn):
            signed_bytes(room.windows + (i * drawn + j) * BYTE_WINDOWS, &masks[room.members[i], j, 0])
            blst_scalar_from_bendian(&mask, &masks[room.members[i], j, 0])
            digits_of(room.digits + (i * drawn + j) * DIGITS, &mask)
    wipe(&mask, sizeof(mask))
    multiply_generator(room, table)
    add_to_all(room.values1, <const blst_fp *> room.keys, &room.round, rows, drawn, &PSI.one.fp[0])
    extend(room.values1, room.differences1, room.terms1, &room.round, rows, drawn, k, &PSI.one.fp[0])

    make_bits(room)
    for j in range(groups):  # of nearly equal size
        multiply_hashes(room, drawn * j // groups, drawn * (j + 1) // groups - drawn * j // groups)
    add_to_all(room.values2, <const blst_fp2 *> room.signatures, &room.round, rows, drawn, &PSI.one)
    extend(room.values2, room.differences2, room.terms2, &room.round, rows, drawn, k, &PSI.one)

    for i in range(rows):
        for j in range(k):
            blst_p1_affine_compress(&public_key_shares[room.members[i], j, 0],
                                    <blst_p1_affine *> &room.values1[2 * ((j + 1) * rows + i)])
            blst_p2_affine_compress(&signature_shares[room.members[i], j, 0],
                                    <blst_p2_affine *> &room.values2[2 * ((j + 1) * rows + i)])


cdef void split_by_lanes(Room *room, const uint8_t[:, :, ::1] masks, uint8_t[:, :, ::1] public_key_shares,
                         uint8_t[:, :, ::1] signature_shares, BaseTable table) noexcept nogil:
    """All rows but those that lanes leave over, which become the rows of the room."""
    cdef size_t rows = room.rows, drawn = room.drawn, k = room.k, left = 0, i, j
    cdef Offsets offsets
    set_offsets(&offsets)
    for i in range(rows):
        differences_at_0(room.masks, &masks[room.members[i], 0, 0], drawn)
        for j in range(drawn):
            odd_windows(room.scalars1 + (i * drawn + j) * SCALAR_BYTES, room.scalars2 + (i * drawn + j) * SCALAR_BYTES,
                        &room.masks[j + 1], &offsets)
    room.engine.lanes.split_g1(room.shares1, room.well, room.keys, room.scalars1, table.rows, rows, drawn, k,
                               room.engine.scratch)
    room.engine.lanes.split_g2(room.shares2, room.well + rows, room.signatures, room.hashes, room.scalars2, rows,
                               drawn, k, room.engine.scratch)
    for i in range(rows):
        if room.well[i] and room.well[rows + i]:
            for j in range(k):
                blst_p1_affine_compress(&public_key_shares[room.members[i], j, 0], &room.shares1[i * k + j])
                blst_p2_affine_compress(&signature_shares[room.members[i], j, 0], &room.shares2[i * k + j])
        else:
            room.members[left] = room.members[i]
            room.signatures[left] = room.signatures[i]
            room.hashes[left] = room.hashes[i]
            room.keys[left] = room.keys[i]
            left += 1
    room.rows = left


def split_for_oracles(const uint8_t[:, ::1] signatures not None, const uint64_t[:, ::1] public_keys not None,
                      const uint64_t[:, ::1] hashes not None, const uint8_t[:, :, ::1] masks not None,
                      BaseTable table not None, uint8_t[:, :, ::1] public_key_shares not None,
                      uint8_t[:, :, ::1] signature_shares not None, uint8_t[::1] status not None, Lanes lanes):
    """Shares uint8[n, k, 96] and uint8[n, k, 48] by masks uint8[n, t - 1, 32]: f(1) .. f(t-1), below r.

    hashes uint64[n, 24] are the hashed signing roots.
    """
    cdef size_t n = signatures.shape[0], drawn = masks.shape[1], k = public_key_shares.shape[1]
    if (signatures.shape[1] != 96 or public_keys.shape[0] != n or public_keys.shape[1] != 12
            or hashes.shape[0] != n or hashes.shape[1] != 24 or masks.shape[0] != n
            or masks.shape[2] != 32 or drawn + 1 > k or public_key_shares.shape[0] != n
            or public_key_shares.shape[2] != 48 or signature_shares.shape[0] != n
            or signature_shares.shape[1] != k or signature_shares.shape[2] != 96 or status.shape[0] != n):
        raise ValueError("split_for_oracles: shapes disagree")
    cdef size_t rows = min(n, <size_t> CHUNK)
    cdef size_t most = rows * max(<size_t> BUCKETS, drawn + 1)  # additions in a round
    cdef size_t elements = 2 * rows * (k + 1) + 4 * rows * (drawn + 1) + 2 * rows * (drawn + 1)
    cdef size_t bytes_ = elements * (sizeof(blst_fp2) + sizeof(blst_fp)) + round_bytes(most, sizeof(blst_fp2))
    bytes_ += 2 * rows * (BITS + BUCKETS) * sizeof(blst_fp2)
    bytes_ += rows * (k + 2) * (sizeof(blst_p2_affine) + sizeof(blst_p1_affine))
    bytes_ += (drawn + 1) * sizeof(blst_fr)
    bytes_ += rows * (drawn * (DIGITS * sizeof(uint64_t) + BYTE_WINDOWS + 2 * SCALAR_BYTES) + 2 * BITS + sizeof(size_t) + 2)
    cdef char *memory = <char *> malloc(bytes_ + 1)
    cdef Room room
    if memory == NULL or engine_open(&room.engine, lanes, NULL, k):
        free(memory)
        raise MemoryError("split_for_oracles: no memory for the batch")
    room.drawn, room.k = drawn, k
    round_open(&room.round, memory, most, sizeof(blst_fp2))
    room.bits = <blst_fp2 *> (memory + round_bytes(most, sizeof(blst_fp2)))
    room.buckets = room.bits + 2 * rows * BITS
    room.values2 = room.buckets + 2 * rows * BUCKETS
    room.differences2 = room.values2 + 2 * rows * (k + 1)
    room.terms2 = room.differences2 + 4 * rows * (drawn + 1)
    room.values1 = <blst_fp *> (room.terms2 + 2 * rows * (drawn + 1))
    room.differences1 = room.values1 + 2 * rows * (k + 1)
    room.terms1 = room.differences1 + 4 * rows * (drawn + 1)
    room.signatures = <blst_p2_affine *> (room.terms1 + 2 * rows * (drawn + 1))
    room.hashes = room.signatures + rows
    room.shares2 = room.hashes + rows
    room.keys = <blst_p1_affine *> (room.shares2 + rows * k)
    room.shares1 = room.keys + rows
    room.masks = <blst_fr *> (room.shares1 + rows * k)
    room.digits = <uint64_t *> (room.masks + drawn + 1)
    room.members = <size_t *> (room.digits + rows * drawn * DIGITS)
    room.scalars2 = <uint8_t *> (room.members + rows)
    room.scalars1 = room.scalars2 + rows * drawn * SCALAR_BYTES
    room.windows = <int8_t *> (room.scalars1 + rows * drawn * SCALAR_BYTES)
    room.bucket_of = <uint8_t *> (room.windows + rows * drawn * BYTE_WINDOWS)
    room.occurrence = room.bucket_of + rows * BITS
    room.well = room.occurrence + rows * BITS
    cdef size_t chunk, first, size, i
    with nogil:
        for chunk in range((n + CHUNK - 1) // CHUNK):
            first = chunk * CHUNK
            size = min(<size_t> CHUNK, n - first)
            decode_p2s(&room.engine, room.signatures, &status[first], &signatures[first, 0], size, True)
            room.rows = 0
            for i in range(size):
                if status[first + i] == Status.OK:
                    room.members[room.rows] = first + i
                    room.signatures[room.rows] = room.signatures[i]
                    memcpy(&room.keys[room.rows], &public_keys[first + i, 0], sizeof(blst_p1_affine))
                    memcpy(&room.hashes[room.rows], &hashes[first + i, 0], sizeof(blst_p2_affine))
                    room.rows += 1
            if room.engine.lanes != NULL and drawn:
                split_by_lanes(&room, masks, public_key_shares, signature_shares, table)
            if room.rows:
                split_by_blst(&room, masks, public_key_shares, signature_shares, table)
        wipe(memory, bytes_)
        wipe(room.engine.memory, room.engine.n_bytes)
        free(memory)
        engine_close(&room.engine)
