"""Shamir out, Lagrange back: scalars, points, and recovered signatures checked in one batch.

An interpolation is given as integers (a_i, negative_i) and a scalar s with

    value at the wanted index = s * sum (-1)^negative_i * a_i * (value at share index x_i)

Small a_i cost few additions; s is 1 when `scale` is empty. `threshold.py` chooses them.
"""
cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset
from dvtfast._native.blst cimport *
from dvtfast._native.pairing cimport Claims, claims_add, claims_close, claims_judge, claims_open
from dvtfast._native.points cimport decode_p2, p1s_to_affine, p2s_to_affine
from dvtfast._native.status cimport Status

cdef enum:
    SCALAR_BITS = 255
    # Above this width one multiplication per share is cheaper than joint doublings and additions.
    JOINT_BITS = 96


# --- scalars: constant-time in their values ---

cdef inline void read_fr(blst_fr *out, const uint8_t *row) noexcept nogil:
    """A scalar below r from 32 big-endian bytes."""
    cdef blst_scalar scalar
    blst_scalar_from_bendian(&scalar, row)
    blst_fr_from_scalar(out, &scalar)
    wipe(&scalar, sizeof(scalar))


cdef inline void write_fr(uint8_t *row, const blst_fr *value) noexcept nogil:
    cdef blst_scalar scalar
    blst_scalar_from_fr(&scalar, value)
    blst_bendian_from_scalar(row, &scalar)
    wipe(&scalar, sizeof(scalar))


cdef inline void fr_from_uint64(blst_fr *out, uint64_t value) noexcept nogil:
    cdef uint64_t words[4]
    cdef blst_scalar scalar
    words[0], words[1], words[2], words[3] = value, 0, 0, 0
    blst_scalar_from_uint64(&scalar, words)
    blst_fr_from_scalar(out, &scalar)


def reduce_scalars(const uint8_t[:, ::1] wide not None, uint8_t[:, ::1] scalars not None):
    """Scalars uint8[n, 32] = big-endian uint8[n, w] modulo r; w = 48 leaves a bias below 2^-128."""
    cdef blst_scalar scalar
    cdef size_t i, n = wide.shape[0]
    if scalars.shape[0] != n or scalars.shape[1] != 32:
        raise ValueError("reduce_scalars: shapes disagree")
    with nogil:
        for i in range(n):
            blst_scalar_from_be_bytes(&scalar, &wide[i, 0], wide.shape[1])
            blst_bendian_from_scalar(&scalars[i, 0], &scalar)
        wipe(&scalar, sizeof(scalar))


def evaluate(const uint8_t[:, :, ::1] coefficients not None, const uint64_t[::1] share_indices not None,
             uint8_t[:, :, ::1] values not None):
    """Values uint8[n, k, 32] at k share indices of n polynomials uint8[n, t, 32], constant term first."""
    cdef blst_fr x, acc, coefficient
    cdef size_t i, j, m, n = coefficients.shape[0], t = coefficients.shape[1], k = share_indices.shape[0]
    if coefficients.shape[2] != 32 or values.shape[0] != n or values.shape[1] != k or values.shape[2] != 32:
        raise ValueError("evaluate: shapes disagree")
    with nogil:
        for j in range(k):
            fr_from_uint64(&x, share_indices[j])
            for i in range(n):
                memset(&acc, 0, sizeof(acc))
                for m in range(t):  # Horner, highest coefficient first
                    read_fr(&coefficient, &coefficients[i, t - 1 - m, 0])
                    blst_fr_mul(&acc, &acc, &x)
                    blst_fr_add(&acc, &acc, &coefficient)
                write_fr(&values[i, j, 0], &acc)
        wipe(&acc, sizeof(acc))
        wipe(&coefficient, sizeof(coefficient))


def recover_secret_keys(const uint8_t[:, :, ::1] key_shares not None, const uint8_t[:, ::1] coefficients not None,
                        uint8_t[:, ::1] secret_keys not None, uint8_t[::1] status not None):
    """Secret keys uint8[n, 32] = sum coefficients[i] * key_shares[:, i]."""
    cdef blst_fr acc, factor, share
    cdef blst_scalar scalar
    cdef size_t i, j, n = key_shares.shape[0], t = key_shares.shape[1]
    if (key_shares.shape[2] != 32 or coefficients.shape[0] != t or coefficients.shape[1] != 32
            or secret_keys.shape[0] != n or secret_keys.shape[1] != 32 or status.shape[0] != n):
        raise ValueError("recover_secret_keys: shapes disagree")
    with nogil:
        for i in range(n):
            memset(&acc, 0, sizeof(acc))
            status[i] = Status.OK
            for j in range(t):
                blst_scalar_from_bendian(&scalar, &key_shares[i, j, 0])
                if not blst_sk_check(&scalar):
                    status[i] = Status.BAD_SCALAR
                    break
                blst_fr_from_scalar(&share, &scalar)
                read_fr(&factor, &coefficients[j, 0])
                blst_fr_mul(&share, &share, &factor)
                blst_fr_add(&acc, &acc, &share)
            if status[i] == Status.OK:
                blst_scalar_from_fr(&scalar, &acc)
                if blst_sk_check(&scalar):
                    blst_bendian_from_scalar(&secret_keys[i, 0], &scalar)
                else:
                    status[i] = Status.BAD_SCALAR
        wipe(&acc, sizeof(acc))
        wipe(&share, sizeof(share))
        wipe(&scalar, sizeof(scalar))


# --- public keys ---

def recover_public_keys(const uint64_t[:, :, ::1] shares not None, const uint8_t[:, ::1] coefficients not None,
                        uint8_t[:, ::1] public_keys not None, uint8_t[::1] status not None):
    """Public keys uint8[n, 48] = sum of decoded shares uint64[n, t, 12] times scalars uint8[t, 32]."""
    cdef blst_p1 acc
    cdef size_t i, n = shares.shape[0], t = shares.shape[1]
    if (shares.shape[2] != 12 or coefficients.shape[0] != t or coefficients.shape[1] != 32
            or public_keys.shape[0] != n or public_keys.shape[1] != 48 or status.shape[0] != n):
        raise ValueError("recover_public_keys: shapes disagree")
    with nogil:
        for i in range(n):
            combine_p1(&acc, <const blst_p1_affine *> &shares[i, 0, 0], coefficients, t)
            status[i] = Status.IS_INFINITY if blst_p1_is_inf(&acc) else Status.OK
            if status[i] == Status.OK:
                blst_p1_compress(&public_keys[i, 0], &acc)


cdef void combine_p1(blst_p1 *out, const blst_p1_affine *points, const uint8_t[:, ::1] coefficients,
                     size_t t) noexcept nogil:
    """sum coefficients[j] * points[j], coefficients big-endian."""
    cdef blst_p1 term
    cdef blst_scalar scalar
    cdef size_t j
    memset(out, 0, sizeof(blst_p1))
    for j in range(t):
        blst_scalar_from_bendian(&scalar, &coefficients[j, 0])
        blst_p1_from_affine(&term, &points[j])
        blst_p1_mult(&term, &term, scalar.b, SCALAR_BITS)
        blst_p1_add_or_double(out, out, &term)


def on_polynomial(const uint64_t[:, :, ::1] points not None, const uint64_t[::1] weights not None,
                  const uint8_t[:, :, ::1] coefficients not None):
    """Whether in each row of points uint64[n, t + m, 12] the last m are interpolated by the first t.

    coefficients uint8[m, t, 32]. The rows are added up with random weights first: a row that is
    off its polynomial passes with probability at most 2^-63.
    """
    cdef size_t j, n = points.shape[0], columns = points.shape[1]
    cdef size_t m = coefficients.shape[0], t = coefficients.shape[1]
    cdef blst_p1 expected, actual
    cdef bint holds = True
    if (points.shape[2] != 12 or columns != t + m or weights.shape[0] != n or coefficients.shape[2] != 32):
        raise ValueError("on_polynomial: shapes disagree")
    if n == 0:
        return True
    cdef size_t scratch_bytes = blst_p1s_mult_pippenger_scratch_sizeof(n)
    cdef size_t bytes_ = scratch_bytes + columns * (sizeof(blst_p1) + sizeof(blst_p1_affine)) + n * sizeof(blst_p1_affine)
    cdef char *memory = <char *> malloc(bytes_)
    if memory == NULL:
        raise MemoryError("on_polynomial: no memory for the batch")
    cdef blst_p1 *sums = <blst_p1 *> (memory + scratch_bytes)
    cdef blst_p1_affine *sums_affine = <blst_p1_affine *> (sums + columns)
    cdef blst_p1_affine *column = sums_affine + columns
    cdef const blst_p1_affine *column_points[2]
    cdef const byte *scalars[2]
    cdef size_t i
    with nogil:
        column_points[0], column_points[1] = column, NULL
        scalars[0], scalars[1] = <const byte *> &weights[0], NULL
        for j in range(columns):
            for i in range(n):
                column[i] = (<const blst_p1_affine *> &points[i, j, 0])[0]
            blst_p1s_mult_pippenger(&sums[j], column_points, n, scalars, 64, <limb_t *> memory)
        p1s_to_affine(sums_affine, sums, columns)
        for j in range(m):
            combine_p1(&expected, sums_affine, coefficients[j], t)
            if not blst_p1_is_equal(&expected, &sums[t + j]):
                holds = False
                break
        free(memory)
    return holds


# --- signatures ---

cdef struct Interpolation:
    size_t t
    size_t bits
    const uint8_t *factors   # t x 32 bytes, little-endian
    const uint8_t *negative  # t flags
    const uint8_t *scale     # 32 bytes, little-endian, or NULL for 1


cdef void interpolate(blst_p2 *out, blst_p2_affine *shares, const Interpolation *rule) noexcept nogil:
    """The interpolated point; overwrites `shares`.

    Senders choose the points, so every addition here handles equal, opposite and infinite
    operands. Shares outside G2 may give any point: the caller checks the result.
    """
    cdef size_t j, b
    cdef blst_p2 term
    memset(out, 0, sizeof(blst_p2))
    for j in range(rule.t):
        blst_fp2_cneg(&shares[j].y, &shares[j].y, rule.negative[j])
    if rule.bits <= JOINT_BITS:
        b = rule.bits
        while b > 0:
            b -= 1
            blst_p2_double(out, out)
            for j in range(rule.t):
                if (rule.factors[32 * j + b // 8] >> (b % 8)) & 1:
                    blst_p2_add_or_double_affine(out, out, &shares[j])
    else:
        for j in range(rule.t):
            blst_p2_from_affine(&term, &shares[j])
            blst_p2_mult(&term, &term, rule.factors + 32 * j, SCALAR_BITS)
            blst_p2_add_or_double(out, out, &term)
    if rule.scale != NULL:
        blst_p2_mult(out, out, rule.scale, SCALAR_BITS)


cdef Status recover_one(blst_p2 *out, const uint8_t *rows, bint subgroup, blst_p2_affine *shares,
                        const Interpolation *rule) noexcept nogil:
    """Decode t shares and interpolate; the result is in G2 and not infinity."""
    cdef Status status
    cdef size_t j
    for j in range(rule.t):
        status = decode_p2(&shares[j], rows + 96 * j, subgroup)
        if status != Status.OK:
            return status
    interpolate(out, shares, rule)
    if blst_p2_is_inf(out):
        return Status.IS_INFINITY
    return Status.OK if blst_p2_in_g2(out) else Status.NOT_IN_GROUP


@cython.final
cdef class Rule:
    """An interpolation as kernels take it; made once for each set of share indices."""
    cdef Interpolation c
    cdef bytes factors, negative, scale

    def __cinit__(self, bytes factors not None, bytes negative not None, bytes scale not None, size_t bits):
        self.factors, self.negative, self.scale = factors, negative, scale
        self.c.t = len(negative)
        self.c.bits = bits
        if len(factors) != 32 * len(negative) or len(scale) not in (0, 32) or bits > 256 or not negative:
            raise ValueError("Rule: lengths disagree")
        self.c.factors = self.factors
        self.c.negative = self.negative
        self.c.scale = <const uint8_t *> self.scale if len(scale) else NULL


def recover_signatures(const uint8_t[:, :, ::1] partial_signatures not None, Rule rule not None,
                       uint8_t[:, ::1] signatures not None, uint8_t[::1] status not None):
    """Signatures uint8[n, 96] from partial signatures uint8[n, t, 96], each of them checked to be in G2."""
    cdef blst_p2 point
    cdef blst_p2_affine *shares
    cdef size_t i, n = partial_signatures.shape[0], t = partial_signatures.shape[1]
    if (partial_signatures.shape[2] != 96 or rule.c.t != t or signatures.shape[0] != n
            or signatures.shape[1] != 96 or status.shape[0] != n):
        raise ValueError("recover_signatures: shapes disagree")
    shares = <blst_p2_affine *> malloc(t * sizeof(blst_p2_affine))
    if shares == NULL:
        raise MemoryError("recover_signatures: no memory for the batch")
    with nogil:
        for i in range(n):
            status[i] = recover_one(&point, &partial_signatures[i, 0, 0], True, shares, &rule.c)
            if status[i] == Status.OK:
                blst_p2_compress(&signatures[i, 0], &point)
        free(shares)


def recover_and_check(const uint8_t[:, :, ::1] partial_signatures not None, list rules not None,
                      const uint32_t[::1] rule_of not None, const uint64_t[:, ::1] public_keys not None, const uint8_t[:, ::1] signing_roots not None,
                      const uint64_t[::1] weights not None, uint8_t[:, ::1] signatures not None,
                      uint8_t[::1] status not None):
    """Recover uint8[n, 96] and judge every result under its public key, in one weighted batch.

    Row i is interpolated by rules[rule_of[i]].
    The shares are not checked to be in G2: the recovered point is, before it enters any sum, and it
    is verified. OK proves the signature, and nothing about the shares.
    """
    cdef Claims claims
    cdef int failed
    cdef size_t i, t = partial_signatures.shape[1], n = partial_signatures.shape[0], n_rules = len(rules)
    if (partial_signatures.shape[2] != 96 or rule_of.shape[0] != n or public_keys.shape[0] != n
            or public_keys.shape[1] != 12 or signing_roots.shape[0] != n or signing_roots.shape[1] != 32
            or weights.shape[0] != n or signatures.shape[0] != n or signatures.shape[1] != 96
            or status.shape[0] != n):
        raise ValueError("recover_and_check: shapes disagree")
    if n == 0:
        return
    for i in range(n):
        if rule_of[i] >= n_rules:
            raise ValueError("recover_and_check: rule_of points outside rules")
    cdef size_t room = n_rules * sizeof(Interpolation) + t * sizeof(blst_p2_affine)
    room += n * (sizeof(blst_p2) + sizeof(blst_p2_affine))
    cdef blst_p2 *points = <blst_p2 *> malloc(room)
    if points == NULL:
        raise MemoryError("recover_and_check: no memory for the batch")
    cdef blst_p2_affine *affine = <blst_p2_affine *> (points + n)
    cdef blst_p2_affine *shares = affine + n
    cdef Interpolation *interpolations = <Interpolation *> (shares + t)
    cdef Rule rule
    for i in range(n_rules):
        rule = rules[i]
        interpolations[i] = rule.c
        if rule.c.t != t:
            free(points)
            raise ValueError("recover_and_check: a rule of another threshold")
    with nogil:
        failed = claims_open(&claims, n)
        if failed == 0:
            for i in range(n):
                status[i] = recover_one(&points[i], &partial_signatures[i, 0, 0], False, shares,
                                        &interpolations[rule_of[i]])
                if status[i] != Status.OK:
                    memset(&points[i], 0, sizeof(blst_p2))
            p2s_to_affine(affine, points, n)
            for i in range(n):
                if status[i] == Status.OK:
                    status[i] = Status.NOT_CHECKED
                    blst_p2_affine_compress(&signatures[i, 0], &affine[i])
                    claims_add(&claims, i, <const blst_p1_affine *> &public_keys[i, 0], &signing_roots[i, 0],
                               &affine[i], weights[i])
            failed = claims_judge(&claims, &status[0])
            claims_close(&claims)
        free(points)
    if failed:
        raise MemoryError("recover_and_check: no memory for the batch")


def compare_interpolated(const uint8_t[:, :, ::1] base not None, const uint8_t[:, ::1] candidates not None,
                         Rule rule not None, uint8_t[::1] status not None):
    """OK where candidates uint8[n, 96] equal what t shares base uint8[n, t, 96] interpolate to."""
    cdef blst_p2 point
    cdef uint8_t expected[96]
    cdef blst_p2_affine *shares
    cdef size_t i, n = base.shape[0], t = base.shape[1]
    if (base.shape[2] != 96 or rule.c.t != t or candidates.shape[0] != n or candidates.shape[1] != 96
            or status.shape[0] != n):
        raise ValueError("compare_interpolated: shapes disagree")
    shares = <blst_p2_affine *> malloc(t * sizeof(blst_p2_affine))
    if shares == NULL:
        raise MemoryError("compare_interpolated: no memory for the batch")
    with nogil:
        for i in range(n):
            status[i] = recover_one(&point, &base[i, 0, 0], True, shares, &rule.c)
            if status[i] == Status.OK:
                blst_p2_compress(expected, &point)
                if memcmp(expected, &candidates[i, 0], 96) != 0:
                    status[i] = Status.MISMATCH
        free(shares)
