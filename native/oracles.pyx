"""The oracle split: shares S + f(j)*H and P + f(j)*G1 for j = 1..k, f(0) = 0, degree of f below t.

The masks f(1) .. f(t-1) fix f. Their multiples of H and G1 are computed in affine coordinates, a
chunk of validators at a time, so that one inversion serves a whole round of additions:

* G1 is fixed: signed 8-bit windows from a table made once, 32 additions a multiple.
* H is fixed for each validator. On G2 the endomorphism psi multiplies by the curve parameter x, and
  r = x^4 - x^2 + 1, so a mask is written in base |x| as four digits of 64 bits. Signed 5-bit windows of
  the digits come from one table of multiples of 2^(5w)*H, with no doubling left; then
  f*H = A0 - psi(A1 - psi(A2 - psi(A3))).

f(t) .. f(k) follow by differences: the t-th differences of a polynomial of degree below t vanish.
Variable time: masks are used once. They, and what is made of them, are wiped.
"""
cimport cython
from libc.stdint cimport int8_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.affine cimport add_all, field_t, multiply, negate
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
    BITS = 5              # window of a base-|x| digit
    WINDOWS = 13          # 13 * 5 = 65 bits, room for the last carry
    MULTIPLES = 16
    DIGITS = 4

cdef uint64_t PARAMETER = 0xd201000000010000  # |x|


@cython.final
cdef class SplitTables:
    """Multiples of the generator of G1 and the constants of psi; made once, read by every split."""
    cdef blst_p1_affine *generator  # [BASE_WINDOWS][BASE_MULTIPLES]: (j + 1) * 2^(8w) * G1
    cdef blst_fp2 psi_x, psi_y, one

    def __cinit__(self, bytes exponent_x not None, bytes exponent_y not None):
        """The exponents (p - 1) / 3 and (p - 1) / 2, big-endian."""
        cdef size_t n = BASE_WINDOWS * BASE_MULTIPLES, w, j
        cdef blst_p1 *points = <blst_p1 *> malloc(n * sizeof(blst_p1))
        self.generator = <blst_p1_affine *> malloc(n * sizeof(blst_p1_affine))
        if points == NULL or self.generator == NULL:
            free(points)
            raise MemoryError("SplitTables: no memory")
        cdef blst_p1 base = blst_p1_generator()[0]
        for w in range(BASE_WINDOWS):
            points[w * BASE_MULTIPLES] = base
            for j in range(1, BASE_MULTIPLES):
                blst_p1_add_or_double(&points[w * BASE_MULTIPLES + j], &points[w * BASE_MULTIPLES + j - 1], &base)
            blst_p1_double(&base, &points[w * BASE_MULTIPLES + BASE_MULTIPLES - 1])
        p1s_to_affine(self.generator, points, n)
        free(points)
        # psi(x, y) = (conj(x) / (1 + i)^((p-1)/3), conj(y) / (1 + i)^((p-1)/2))
        cdef uint64_t words[6]
        memset(words, 0, sizeof(words))
        words[0] = 1
        memset(&self.one, 0, sizeof(blst_fp2))
        blst_fp_from_uint64(&self.one.fp[0], words)
        cdef blst_fp2 i_plus_one
        i_plus_one.fp[0] = i_plus_one.fp[1] = self.one.fp[0]
        power(&self.psi_x, &i_plus_one, &self.one, exponent_x)
        power(&self.psi_y, &i_plus_one, &self.one, exponent_y)
        blst_fp2_eucl_inverse(&self.psi_x, &self.psi_x)
        blst_fp2_eucl_inverse(&self.psi_y, &self.psi_y)

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


cdef void apply_minus_psi(blst_fp2 *points, size_t n, SplitTables tables) noexcept nogil:
    """points[i] = -psi(points[i]) = |x| * points[i] for points of G2."""
    cdef size_t i
    for i in range(n):
        blst_fp_cneg(&points[2 * i].fp[1], &points[2 * i].fp[1], True)
        blst_fp_cneg(&points[2 * i + 1].fp[1], &points[2 * i + 1].fp[1], True)
        blst_fp2_mul(&points[2 * i], &points[2 * i], &tables.psi_x)
        blst_fp2_mul(&points[2 * i + 1], &points[2 * i + 1], &tables.psi_y)
        blst_fp2_cneg(&points[2 * i + 1], &points[2 * i + 1], True)


cdef void base_windows(int8_t *windows, const uint8_t *mask) noexcept nogil:
    """Signed bytes of a big-endian scalar below r, lowest first: -128..127."""
    cdef size_t w
    cdef int value, carry = 0
    for w in range(BASE_WINDOWS):
        value = mask[31 - w] + carry
        carry = value > 127
        windows[w] = <int8_t> (value - 256 * carry)


cdef void digit_windows(int8_t *windows, const uint8_t *mask) noexcept nogil:
    """DIGITS * WINDOWS signed 5-bit windows, -15..16, of the base-|x| digits of a big-endian scalar."""
    cdef uint64_t words[4]
    cdef uint64_t digit, remainder
    cdef uint128 part
    cdef size_t d, i, w
    cdef int value, carry
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
        digit, carry = remainder, 0
        for w in range(WINDOWS):
            value = <int> (digit & 31) + carry
            digit >>= 5
            carry = value > 16
            windows[d * WINDOWS + w] = <int8_t> (value - 32 * carry)
    wipe(words, sizeof(words))


cdef inline void pick(field_t *term, const field_t *multiples, size_t stride, int window) noexcept nogil:
    """term = window * base; `multiples` has 1, 2, ... times the base, `stride` points apart."""
    cdef int multiple = -window if window < 0 else window
    if multiple == 0:
        memset(term, 0, 2 * sizeof(field_t))
    else:
        memcpy(term, multiples + 2 * stride * (multiple - 1), 2 * sizeof(field_t))
        negate(&term[1], window < 0)


# Room for a chunk of validators, in one group. A row is one point for each validator of the chunk.
# values: rows f(0) .. f(k); totals, terms and work: for the rounds of additions; the tables of windows.

cdef struct Room1:
    blst_fp *values
    blst_fp *differences
    blst_fp *terms
    blst_fp *work

cdef struct Room2:
    blst_fp2 *values
    blst_fp2 *differences
    blst_fp2 *terms
    blst_fp2 *work
    blst_fp2 *totals
    blst_fp2 *multiples


cdef void extend(field_t *values, field_t *differences, field_t *terms, field_t *work, size_t rows, size_t drawn,
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
        add_all(differences + row * order, terms, rows * (drawn + 1 - order), one, work)
        memcpy(last + row * order, differences + row * drawn, row * sizeof(field_t))
    for j in range(drawn + 1, k + 1):
        for order in range(drawn, 0, -1):
            add_all(last + row * (order - 1), last + row * order, rows, one, work)
        memcpy(values + row * j, last, row * sizeof(field_t))


cdef void multiply_generator(Room1 *room, const int8_t *windows, size_t rows, size_t drawn,
                             const blst_fp *one, SplitTables tables) noexcept nogil:
    """Rows f(1) .. f(drawn) of values = f(j) * G1; windows [drawn][rows][BASE_WINDOWS]."""
    cdef size_t n = rows * drawn, i, w
    cdef blst_fp *totals = room.values + 2 * rows
    memset(room.values, 0, 2 * (n + rows) * sizeof(blst_fp))
    for w in range(BASE_WINDOWS):
        for i in range(n):
            pick(&room.terms[2 * i], <const blst_fp *> (tables.generator + w * BASE_MULTIPLES), 1,
                 windows[i * BASE_WINDOWS + w])
        add_all(totals, room.terms, n, one, room.work)


cdef void multiply_hashes(Room2 *room, const blst_p2_affine *bases, const int8_t *windows, size_t rows,
                          size_t drawn, SplitTables tables) noexcept nogil:
    """Rows f(1) .. f(drawn) of values = f(j) * H.

    bases [rows][WINDOWS] are 2^(BITS*w) * H; windows [drawn][rows][DIGITS][WINDOWS].
    """
    cdef size_t n = rows * drawn, block = rows * WINDOWS, i, d, m, w
    cdef blst_fp2 *accumulator
    memcpy(room.multiples, bases, block * sizeof(blst_p2_affine))
    for m in range(1, MULTIPLES):
        accumulator = room.multiples + 2 * block * m
        memcpy(accumulator, accumulator - 2 * block, block * sizeof(blst_p2_affine))
        add_all(accumulator, room.multiples, block, &tables.one, room.work)
    memset(room.totals, 0, 2 * DIGITS * n * sizeof(blst_fp2))
    for w in range(WINDOWS):
        for d in range(DIGITS):
            for i in range(n):
                pick(&room.terms[2 * (d * n + i)], room.multiples + 2 * ((i % rows) * WINDOWS + w), block,
                     windows[(i * DIGITS + d) * WINDOWS + w])
        add_all(room.totals, room.terms, DIGITS * n, &tables.one, room.work)
    for d in range(DIGITS - 1, 0, -1):  # A0 - psi(A1 - psi(A2 - psi(A3)))
        accumulator = room.totals + 2 * n * d
        apply_minus_psi(accumulator, n, tables)
        add_all(accumulator - 2 * n, accumulator, n, &tables.one, room.work)
    memset(room.values, 0, 2 * rows * sizeof(blst_fp2))
    memcpy(room.values + 2 * rows, room.totals, 2 * n * sizeof(blst_fp2))


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
    cdef size_t most = rows * max(<size_t> WINDOWS, max(DIGITS * drawn, k + 1))
    # Field elements: values, differences (and the last of each), terms, work; in G2 totals and multiples.
    cdef size_t shared = 2 * rows * (k + 1) + 4 * rows * (drawn + 1) + 4 * most
    cdef size_t only2 = 2 * rows * DIGITS * (drawn + 1) + 2 * rows * WINDOWS * MULTIPLES
    cdef size_t bytes_ = (shared + only2) * sizeof(blst_fp2) + shared * sizeof(blst_fp)
    bytes_ += rows * (WINDOWS * (sizeof(blst_p2) + sizeof(blst_p2_affine)) + sizeof(blst_p2_affine))
    bytes_ += rows * drawn * (BASE_WINDOWS + DIGITS * WINDOWS)
    cdef char *memory = <char *> malloc(bytes_ + 1)
    if memory == NULL:
        raise MemoryError("split_for_oracles: no memory for the batch")
    cdef Room2 two
    cdef Room1 one
    two.values = <blst_fp2 *> memory
    two.differences = two.values + 2 * rows * (k + 1)
    two.terms = two.differences + 4 * rows * (drawn + 1)
    two.work = two.terms + 2 * most
    two.totals = two.work + 2 * most
    two.multiples = two.totals + 2 * rows * DIGITS * (drawn + 1)
    one.values = <blst_fp *> (two.multiples + 2 * rows * WINDOWS * MULTIPLES)
    one.differences = one.values + 2 * rows * (k + 1)
    one.terms = one.differences + 4 * rows * (drawn + 1)
    one.work = one.terms + 2 * most
    cdef blst_p2 *powers = <blst_p2 *> (one.work + 2 * most)
    cdef blst_p2_affine *bases = <blst_p2_affine *> (powers + rows * WINDOWS)
    cdef blst_p2_affine *decoded = bases + rows * WINDOWS
    cdef int8_t *windows1 = <int8_t *> (decoded + rows)
    cdef int8_t *windows2 = windows1 + rows * drawn * BASE_WINDOWS
    cdef size_t chunk, first, size, i, j, w
    with nogil:
        for chunk in range((n + CHUNK - 1) // CHUNK):
            first = chunk * CHUNK
            size = min(<size_t> CHUNK, n - first)
            for i in range(size):
                status[first + i] = decode_p2(&decoded[i], &signatures[first + i, 0], True)
                if status[first + i] != Status.OK:  # infinity takes part in the chunk's additions harmlessly
                    memset(&decoded[i], 0, sizeof(blst_p2_affine))
                hash_root(&powers[i * WINDOWS], &signing_roots[first + i, 0])
                for w in range(1, WINDOWS):
                    powers[i * WINDOWS + w] = powers[i * WINDOWS + w - 1]
                    for j in range(BITS):
                        blst_p2_double(&powers[i * WINDOWS + w], &powers[i * WINDOWS + w])
                for j in range(drawn):
                    base_windows(windows1 + (j * size + i) * BASE_WINDOWS, &masks[first + i, j, 0])
                    digit_windows(windows2 + (j * size + i) * DIGITS * WINDOWS, &masks[first + i, j, 0])
            p2s_to_affine(bases, powers, size * WINDOWS)

            multiply_generator(&one, windows1, size, drawn, &tables.one.fp[0], tables)
            extend(one.values, one.differences, one.terms, one.work, size, drawn, k, &tables.one.fp[0])
            for j in range(k):
                for i in range(size):
                    memcpy(&one.terms[2 * (j * size + i)], &public_keys[first + i, 0], sizeof(blst_p1_affine))
            add_all(one.values + 2 * size, one.terms, k * size, &tables.one.fp[0], one.work)

            multiply_hashes(&two, bases, windows2, size, drawn, tables)
            extend(two.values, two.differences, two.terms, two.work, size, drawn, k, &tables.one)
            for j in range(k):
                memcpy(&two.terms[2 * j * size], decoded, size * sizeof(blst_p2_affine))
            add_all(two.values + 2 * size, two.terms, k * size, &tables.one, two.work)

            for i in range(size):
                if status[first + i] == Status.OK:
                    for j in range(k):
                        blst_p1_affine_compress(&public_key_shares[first + i, j, 0],
                                                <blst_p1_affine *> &one.values[2 * ((j + 1) * size + i)])
                        blst_p2_affine_compress(&signature_shares[first + i, j, 0],
                                                <blst_p2_affine *> &two.values[2 * ((j + 1) * size + i)])
        wipe(memory, bytes_)
        free(memory)
