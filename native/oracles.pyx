"""The oracle split: shares S + f(j)*H and P + f(j)*G1 for j = 1..k, f(0) = 0, degree of f below t.

The masks f(1) .. f(t-1) fix f. Their multiples of H and G1 are computed in affine coordinates, a
chunk of validators at a time, so that one inversion serves a whole round of additions:

* G1 is fixed: signed 8-bit windows from a table made once, 32 additions a multiple.
* H is fixed for each validator. On G2 the endomorphism psi multiplies by the curve parameter x, and
  r = x^4 - x^2 + 1, so a mask is written in base |x| as four digits of 64 bits, and 64 doublings give
  the points of all 256 bits. Up to SHARED masks use them together: a point is added once, to the
  bucket of the masks that have its bit; then the buckets are added up to the multiples.

f(t) .. f(k) follow by differences: the t-th differences of a polynomial of degree below t vanish.
Variable time: masks are used once. They, and what is made of them, are wiped.
"""
cimport cython
from libc.stdint cimport int8_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.affine cimport add_all, field_t, negate
from dvtfast._native.blst cimport *
from dvtfast._native.points cimport decode_p2, hash_root, p1s_to_affine, p2s_to_affine
from dvtfast._native.status cimport Status

cdef extern from *:
    ctypedef unsigned long long uint128 "unsigned __int128"

cdef enum:
    CHUNK = 32            # validators whose additions share an inversion
    BASE_BITS = 8         # window of the fixed base G1
    BASE_WINDOWS = 32     # 32 * 8 = 256 bits; the top byte of a scalar below r stays positive
    BASE_MULTIPLES = 128
    DIGITS = 4            # of a mask in base |x|
    DIGIT_BITS = 64
    BITS = 256            # DIGITS * DIGIT_BITS
    SHARED = 7            # masks that share buckets
    BUCKETS = 128         # 2^SHARED

cdef uint64_t PARAMETER = 0xd201000000010000  # |x|


@cython.final
cdef class SplitTables:
    """Multiples of the generator of G1 and the constants of psi; made once, read by every split."""
    cdef blst_p1_affine *generator  # [BASE_WINDOWS][BASE_MULTIPLES]: (j + 1) * 2^(8w) * G1
    cdef blst_fp2 psi_x, psi_y, one
    cdef blst_fp psi_squared_x

    def __cinit__(self, bytes exponent_x not None, bytes exponent_y not None):
        """The exponents (p - 1) / 3 and (p - 1) / 2, big-endian."""
        cdef size_t n = BASE_WINDOWS * BASE_MULTIPLES, w, j
        cdef blst_p1 *points = <blst_p1 *> malloc(n * sizeof(blst_p1))
        self.generator = <blst_p1_affine *> malloc(n * sizeof(blst_p1_affine))
        if points == NULL or self.generator == NULL:
            free(points)
            raise MemoryError("SplitTables: no memory")
        cdef blst_p1 step = blst_p1_generator()[0]
        for w in range(BASE_WINDOWS):
            points[w * BASE_MULTIPLES] = step
            for j in range(1, BASE_MULTIPLES):
                blst_p1_add_or_double(&points[w * BASE_MULTIPLES + j], &points[w * BASE_MULTIPLES + j - 1], &step)
            blst_p1_double(&step, &points[w * BASE_MULTIPLES + BASE_MULTIPLES - 1])
        p1s_to_affine(self.generator, points, n)
        free(points)
        # psi(x, y) = (conj(x) / (1 + i)^((p-1)/3), conj(y) / (1 + i)^((p-1)/2))
        cdef uint64_t words[6]
        memset(words, 0, sizeof(words))
        words[0] = 1
        memset(&self.one, 0, sizeof(blst_fp2))
        blst_fp_from_uint64(&self.one.fp[0], words)
        cdef blst_fp2 base
        base.fp[0] = base.fp[1] = self.one.fp[0]
        power(&self.psi_x, &base, &self.one, exponent_x)
        power(&self.psi_y, &base, &self.one, exponent_y)
        blst_fp2_eucl_inverse(&self.psi_x, &self.psi_x)
        blst_fp2_eucl_inverse(&self.psi_y, &self.psi_y)
        # psi(psi(x, y)) = (x * psi_x * conj(psi_x), -y)
        base = self.psi_x
        blst_fp_cneg(&base.fp[1], &base.fp[1], True)
        blst_fp2_mul(&base, &base, &self.psi_x)
        self.psi_squared_x = base.fp[0]

    def __dealloc__(self):
        free(self.generator)


cdef void power(blst_fp2 *out, const blst_fp2 *base, const blst_fp2 *one, bytes exponent):
    cdef int byte_, bit
    out[0] = one[0]
    for byte_ in exponent:
        for bit in range(7, -1, -1):
            blst_fp2_sqr(out, out)
            if (byte_ >> bit) & 1:
                blst_fp2_mul(out, out, base)


cdef inline void minus_psi(blst_fp2 *out, const blst_fp2 *point, SplitTables tables) noexcept nogil:
    """out = -psi(point) = |x| * point for a point of G2."""
    out[0], out[1] = point[0], point[1]
    blst_fp_cneg(&out[0].fp[1], &out[0].fp[1], True)
    blst_fp_cneg(&out[1].fp[1], &out[1].fp[1], True)
    blst_fp2_mul(&out[0], &out[0], &tables.psi_x)
    blst_fp2_mul(&out[1], &out[1], &tables.psi_y)
    blst_fp2_cneg(&out[1], &out[1], True)


cdef inline void psi_squared(blst_fp2 *out, const blst_fp2 *point, SplitTables tables) noexcept nogil:
    """out = psi(psi(point)) = x^2 * point for a point of G2."""
    blst_fp_mul(&out[0].fp[0], &point[0].fp[0], &tables.psi_squared_x)
    blst_fp_mul(&out[0].fp[1], &point[0].fp[1], &tables.psi_squared_x)
    blst_fp2_cneg(&out[1], &point[1], True)


cdef void base_windows(int8_t *windows, const uint8_t *mask) noexcept nogil:
    """Signed bytes of a big-endian scalar below r, lowest first: -128..127."""
    cdef size_t w
    cdef int value, carry = 0
    for w in range(BASE_WINDOWS):
        value = mask[31 - w] + carry
        carry = value > 127
        windows[w] = <int8_t> (value - 256 * carry)


cdef void digits_of(uint64_t *digits, const uint8_t *mask) noexcept nogil:
    """The DIGITS digits in base |x| of a big-endian scalar below r, lowest first."""
    cdef uint64_t words[4]
    cdef uint64_t remainder
    cdef uint128 part
    cdef size_t d, i, w
    for i in range(4):
        words[i] = 0
        for w in range(8):
            words[i] = words[i] << 8 | mask[8 * (3 - i) + w]
    for d in range(DIGITS):
        remainder = 0
        for i in range(4, 0, -1):
            part = (<uint128> remainder << 64) | words[i - 1]
            words[i - 1] = <uint64_t> (part // PARAMETER)
            remainder = <uint64_t> (part % PARAMETER)
        digits[d] = remainder
    wipe(words, sizeof(words))


cdef inline void pick(field_t *term, const field_t *multiples, size_t stride, int window) noexcept nogil:
    """term = window * base; `multiples` has 1, 2, ... times the base, `stride` points apart."""
    cdef int multiple = -window if window < 0 else window
    if multiple == 0:
        memset(term, 0, 2 * sizeof(field_t))
    else:
        memcpy(term, multiples + 2 * stride * (multiple - 1), 2 * sizeof(field_t))
        negate(&term[1], window < 0)


# Room for a chunk of validators. A row of values is one point for each of them.

cdef struct Round:  # of additions
    void **totals
    const void **terms
    void *scratch
    size_t n

cdef struct Room:
    Round round
    uint64_t *digits      # [rows][drawn][DIGITS]
    blst_fp2 *bits        # [rows][BITS]: 2^b * |x|^d * H
    blst_fp2 *buckets     # [rows][BUCKETS]
    uint8_t *bucket_of    # [rows][BITS]
    uint8_t *occurrence   # [rows][BITS]: how many bits before went to the same bucket
    int8_t *windows       # [drawn][rows][BASE_WINDOWS]


cdef inline void queue(Round *round, void *total, const void *term) noexcept nogil:
    """*total += *term with the next `run`."""
    round.totals[round.n] = total
    round.terms[round.n] = term
    round.n += 1


cdef inline void run(Round *round, const field_t *one) noexcept nogil:
    """All queued additions; of no total twice."""
    if round.n:
        add_all(<field_t **> round.totals, <const field_t **> round.terms, round.n, one,
                <field_t *> round.scratch)
    round.n = 0


cdef inline void queue_rows(Round *round, field_t *totals, const field_t *terms, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        queue(round, totals + 2 * i, terms + 2 * i)


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


cdef void multiply_generator(blst_fp *values, blst_fp *terms, Room *room, size_t rows, size_t drawn,
                             const blst_fp *one, SplitTables tables) noexcept nogil:
    """Rows f(1) .. f(drawn) of values = f(j) * G1."""
    cdef size_t n = rows * drawn, i, w
    cdef blst_fp *totals = values + 2 * rows
    memset(totals, 0, 2 * n * sizeof(blst_fp))
    for w in range(BASE_WINDOWS):
        for i in range(n):
            pick(&terms[2 * i], <const blst_fp *> (tables.generator + w * BASE_MULTIPLES), 1,
                 room.windows[i * BASE_WINDOWS + w])
        queue_rows(&room.round, totals, terms, n)
        run(&room.round, one)


cdef void make_bits(Room *room, const blst_p2_affine *hashes, size_t rows, SplitTables tables) noexcept nogil:
    """The points of all bits, of each hash."""
    cdef blst_fp2 *point
    cdef size_t i, b
    for b in range(DIGIT_BITS):
        for i in range(rows):
            point = room.bits + 2 * (BITS * i + b)
            memcpy(point, <const blst_fp2 *> &hashes[i] if b == 0 else point - 2, 2 * sizeof(blst_fp2))
            if b:
                queue(&room.round, point, point)
        run(&room.round, &tables.one)
    for i in range(rows):
        for b in range(DIGIT_BITS, BITS):
            point = room.bits + 2 * (BITS * i + b)
            if b < 2 * DIGIT_BITS:
                minus_psi(point, point - 2 * DIGIT_BITS, tables)
            else:
                psi_squared(point, point - 4 * DIGIT_BITS, tables)


cdef void multiply_hashes(blst_fp2 *values, Room *room, size_t rows, size_t drawn, size_t first,
                          size_t shared, SplitTables tables) noexcept nogil:
    """Rows f(first + 1) .. f(first + shared) of values = f(j) * H."""
    cdef uint8_t counts[BUCKETS]
    cdef const uint64_t *digits
    cdef blst_fp2 *buckets
    cdef size_t i, b, m, bucket, width, half, most = 1, nth
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
        run(&room.round, &tables.one)
    # Buckets with the highest bit count for the lower bits too.
    for m in range(shared - 1, 0, -1):
        width = <size_t> 1 << m
        for i in range(rows):
            buckets = room.buckets + 2 * BUCKETS * i
            queue_rows(&room.round, buckets + 2, buckets + 2 * (width + 1), width - 1)
        run(&room.round, &tables.one)
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
        run(&room.round, &tables.one)
    for m in range(shared):
        for i in range(rows):
            memcpy(values + 2 * ((first + m + 1) * rows + i), room.buckets + 2 * (BUCKETS * i + (<size_t> 1 << m)),
                   2 * sizeof(blst_fp2))


def split_for_oracles(const uint8_t[:, ::1] signatures not None, const uint64_t[:, ::1] public_keys not None,
                      const uint8_t[:, ::1] signing_roots not None, const uint8_t[:, :, ::1] masks not None,
                      SplitTables tables not None, uint8_t[:, :, ::1] public_key_shares not None,
                      uint8_t[:, :, ::1] signature_shares not None, uint8_t[::1] status not None):
    """Shares uint8[n, k, 96] and uint8[n, k, 48] by masks uint8[n, t - 1, 32]: f(1) .. f(t-1), below r."""
    cdef size_t n = signatures.shape[0], drawn = masks.shape[1], k = public_key_shares.shape[1]
    if (signatures.shape[1] != 96 or public_keys.shape[0] != n or public_keys.shape[1] != 12
            or signing_roots.shape[0] != n or signing_roots.shape[1] != 32 or masks.shape[0] != n
            or masks.shape[2] != 32 or drawn + 1 > k or public_key_shares.shape[0] != n
            or public_key_shares.shape[2] != 48 or signature_shares.shape[0] != n
            or signature_shares.shape[1] != k or signature_shares.shape[2] != 96 or status.shape[0] != n):
        raise ValueError("split_for_oracles: shapes disagree")
    cdef size_t rows = min(n, <size_t> CHUNK)
    cdef size_t most = rows * max(<size_t> BUCKETS, drawn + 1)  # additions in a round
    cdef size_t elements = 2 * rows * (k + 1) + 4 * rows * (drawn + 1) + 2 * rows * (drawn + 1)
    cdef size_t bytes_ = elements * (sizeof(blst_fp2) + sizeof(blst_fp)) + 2 * most * (sizeof(blst_fp2) + sizeof(void *))
    bytes_ += 2 * rows * (BITS + BUCKETS) * sizeof(blst_fp2)
    bytes_ += rows * (sizeof(blst_p2) + 2 * sizeof(blst_p2_affine) + sizeof(blst_p1_affine))
    bytes_ += rows * (drawn * (DIGITS * sizeof(uint64_t) + BASE_WINDOWS) + 2 * BITS)
    cdef char *memory = <char *> malloc(bytes_ + 1)
    if memory == NULL:
        raise MemoryError("split_for_oracles: no memory for the batch")
    cdef Room room
    room.round.n = 0
    room.round.scratch = memory
    room.bits = <blst_fp2 *> room.round.scratch + 2 * most
    room.buckets = room.bits + 2 * rows * BITS
    cdef blst_fp2 *values2 = room.buckets + 2 * rows * BUCKETS
    cdef blst_fp2 *differences2 = values2 + 2 * rows * (k + 1)
    cdef blst_fp2 *terms2 = differences2 + 4 * rows * (drawn + 1)
    cdef blst_fp *values1 = <blst_fp *> (terms2 + 2 * rows * (drawn + 1))
    cdef blst_fp *differences1 = values1 + 2 * rows * (k + 1)
    cdef blst_fp *terms1 = differences1 + 4 * rows * (drawn + 1)
    cdef blst_p2 *hashes = <blst_p2 *> (terms1 + 2 * rows * (drawn + 1))
    cdef blst_p2_affine *hashes_affine = <blst_p2_affine *> (hashes + rows)
    cdef blst_p2_affine *decoded = hashes_affine + rows
    cdef blst_p1_affine *keys = <blst_p1_affine *> (decoded + rows)
    room.round.totals = <void **> (keys + rows)
    room.round.terms = <const void **> (room.round.totals + most)
    room.digits = <uint64_t *> (room.round.terms + most)
    room.windows = <int8_t *> (room.digits + rows * drawn * DIGITS)
    room.bucket_of = <uint8_t *> (room.windows + rows * drawn * BASE_WINDOWS)
    room.occurrence = room.bucket_of + rows * BITS
    cdef size_t groups = (drawn + SHARED - 1) // SHARED
    cdef size_t chunk, first, size, i, j
    with nogil:
        for chunk in range((n + CHUNK - 1) // CHUNK):
            first = chunk * CHUNK
            size = min(<size_t> CHUNK, n - first)
            for i in range(size):
                status[first + i] = decode_p2(&decoded[i], &signatures[first + i, 0], True)
                if status[first + i] != Status.OK:  # infinity takes part in the chunk's additions harmlessly
                    memset(&decoded[i], 0, sizeof(blst_p2_affine))
                memcpy(&keys[i], &public_keys[first + i, 0], sizeof(blst_p1_affine))
                hash_root(&hashes[i], &signing_roots[first + i, 0])
                for j in range(drawn):
                    base_windows(room.windows + (j * size + i) * BASE_WINDOWS, &masks[first + i, j, 0])
                    digits_of(room.digits + (i * drawn + j) * DIGITS, &masks[first + i, j, 0])
            p2s_to_affine(hashes_affine, hashes, size)

            multiply_generator(values1, terms1, &room, size, drawn, &tables.one.fp[0], tables)
            add_to_all(values1, <const blst_fp *> keys, &room.round, size, drawn, &tables.one.fp[0])
            extend(values1, differences1, terms1, &room.round, size, drawn, k, &tables.one.fp[0])

            make_bits(&room, hashes_affine, size, tables)
            for j in range(groups):  # of nearly equal size
                multiply_hashes(values2, &room, size, drawn, drawn * j // groups,
                                drawn * (j + 1) // groups - drawn * j // groups, tables)
            add_to_all(values2, <const blst_fp2 *> decoded, &room.round, size, drawn, &tables.one)
            extend(values2, differences2, terms2, &room.round, size, drawn, k, &tables.one)

            for i in range(size):
                if status[first + i] == Status.OK:
                    for j in range(k):
                        blst_p1_affine_compress(&public_key_shares[first + i, j, 0],
                                                <blst_p1_affine *> &values1[2 * ((j + 1) * size + i)])
                        blst_p2_affine_compress(&signature_shares[first + i, j, 0],
                                                <blst_p2_affine *> &values2[2 * ((j + 1) * size + i)])
        wipe(memory, bytes_)
        free(memory)
