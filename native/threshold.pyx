"""Shamir out, Lagrange back: scalars, points, and recovered signatures checked in one batch."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.blst cimport *
from dvtfast._native.interpolation cimport Rule, interpolate_rows, interpolation_bytes, rows_together
from dvtfast._native.lanes cimport (
    ROWS_TOGETHER, Engine, Lanes, Plan, decode_p2s, engine_close, engine_open,
)
from dvtfast._native.pairing cimport Equations, equations_add, equations_close, equations_judge, equations_open
from dvtfast._native.points cimport decode_p2, p1s_to_affine
from dvtfast._native.status cimport Status

cdef extern from "<sys/random.h>" nogil:
    int getentropy(void *buffer, size_t length)

cdef enum:
    SCALAR_BITS = 255
    MOST_ENTROPY_BYTES = 256  # of one call


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


def fill_with_random_bytes(uint8_t[:, ::1] rows not None):
    """Random bytes of the operating system, put there without a copy; OSError when it has none."""
    cdef size_t done = 0, size = rows.shape[0] * rows.shape[1]
    cdef uint8_t *memory = &rows[0, 0] if size else NULL
    cdef int failed = 0
    with nogil:
        while done < size and not failed:
            failed = getentropy(memory + done, min(size - done, <size_t> MOST_ENTROPY_BYTES))
            done += MOST_ENTROPY_BYTES
    if failed:
        raise OSError("the operating system has no random bytes")


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
    off its polynomial passes with probability at most 1 / (2^64 - 2).
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

cdef struct Recovery:
    Engine engine
    size_t n_plans, shares, together
    const Plan **plans
    blst_p2_affine *decoded  # [together][shares]
    blst_p2_affine *results  # [together]
    uint8_t *encoded         # [together][shares][96]
    uint8_t *verdicts        # [together][shares]
    size_t *members          # [rows], those of one rule after each other
    const Plan **plan_of     # [rows], of members
    void *room
    char *memory


cdef void recovery_open(Recovery *recovery, list rules, size_t rows, size_t shares, Lanes lanes) except *:
    """Room for interpolations of `rows` rows of `shares` shares by any of these rules."""
    cdef Rule rule
    cdef const Plan *largest = NULL  # for lanes
    cdef size_t i, points, of_lanes, most = 0, room = 0
    for rule in rules:
        if rule.plan.shares != shares:
            raise ValueError("recover: a rule of another threshold")
        room = max(room, interpolation_bytes(&rule.plan))
        if lanes is not None:
            of_lanes = lanes.operations.scratch_bytes(&rule.plan, 0)
            if of_lanes > most:
                most, largest = of_lanes, &rule.plan
    if engine_open(&recovery.engine, lanes, largest, 0):
        raise MemoryError("recover: no memory for the batch")
    recovery.n_plans, recovery.shares = len(rules), shares
    recovery.together = rows_together(&recovery.engine)
    points = recovery.together * shares
    recovery.memory = <char *> malloc((points + recovery.together) * sizeof(blst_p2_affine) + room
                                      + (len(rules) + 2 * rows) * sizeof(void *) + 97 * points + 1)
    if recovery.memory == NULL:
        engine_close(&recovery.engine)
        raise MemoryError("recover: no memory for the batch")
    recovery.decoded = <blst_p2_affine *> recovery.memory
    recovery.results = recovery.decoded + points
    recovery.room = recovery.results + recovery.together
    recovery.plans = <const Plan **> (<char *> recovery.room + room)
    recovery.plan_of = recovery.plans + recovery.n_plans
    recovery.members = <size_t *> (recovery.plan_of + rows)
    recovery.encoded = <uint8_t *> (recovery.members + rows)
    recovery.verdicts = recovery.encoded + 96 * points
    for i in range(recovery.n_plans):
        rule = rules[i]
        recovery.plans[i] = &rule.plan


cdef void recovery_close(Recovery *recovery) noexcept nogil:
    free(recovery.memory)
    engine_close(&recovery.engine)


cdef void recover(blst_p2_affine *out, uint8_t *status, const uint8_t *rows, const uint32_t *rule_of, size_t n,
                  bint subgroup, const Recovery *recovery) noexcept nogil:
    """Interpolate n rows of shares, each by its rule (NULL: the first); at most as many as the recovery was opened for.

    `subgroup`: each share must be in G2, and so are the results. Where the status is not OK the result is infinity.
    """
    cdef size_t rule, i, chunk, size = 0
    for rule in range(recovery.n_plans):
        for i in range(n):
            if rule_of == NULL or rule_of[i] == rule:
                recovery.members[size], recovery.plan_of[size] = i, recovery.plans[rule]
                size += 1
    for chunk in range((n + recovery.together - 1) // recovery.together):
        i = chunk * recovery.together
        recover_members(out, status, rows, recovery.members + i, recovery.plan_of + i, min(recovery.together, n - i),
                        subgroup, recovery)


cdef void recover_members(blst_p2_affine *out, uint8_t *status, const uint8_t *rows, const size_t *members,
                          const Plan **plan_of, size_t size, bint subgroup, const Recovery *recovery) noexcept nogil:
    cdef uint8_t wanted[ROWS_TOGETHER]
    cdef blst_p2_affine *results = recovery.results
    cdef size_t i, j, row, first = 0, k = recovery.shares
    for i in range(size):
        memcpy(recovery.encoded + 96 * k * i, rows + 96 * k * members[i], 96 * k)
    decode_p2s(&recovery.engine, recovery.decoded, recovery.verdicts, recovery.encoded, size * k, subgroup)
    for i in range(size):
        row = members[i]
        status[row] = Status.OK
        for j in range(k):
            if status[row] == Status.OK:
                status[row] = recovery.verdicts[i * k + j]
        wanted[i] = status[row] == Status.OK
        if not wanted[i]:  # infinity takes part in the additions of the others harmlessly
            memset(recovery.decoded + i * k, 0, k * sizeof(blst_p2_affine))
    for i in range(1, size + 1):
        if i == size or plan_of[i] != plan_of[first]:
            interpolate_rows(&recovery.engine, results + first, recovery.decoded + first * k, wanted + first, i - first,
                             plan_of[first], recovery.room)
            first = i
    for i in range(size):
        row = members[i]
        if wanted[i] and blst_p2_affine_is_inf(&results[i]):
            status[row] = Status.IS_INFINITY
        if status[row] == Status.OK:
            out[row] = results[i]
        else:
            memset(&out[row], 0, sizeof(blst_p2_affine))


cdef blst_p2_affine *points_for(size_t n) except NULL:
    cdef blst_p2_affine *points = <blst_p2_affine *> malloc((n + 1) * sizeof(blst_p2_affine))
    if points == NULL:
        raise MemoryError("recover: no memory for the batch")
    return points


def recover_signatures(const uint8_t[:, :, ::1] partial_signatures not None, Rule rule not None,
                       uint8_t[:, ::1] signatures not None, uint8_t[::1] status not None, Lanes lanes):
    """Signatures uint8[n, 96] from partial signatures uint8[n, t, 96], each of them checked to be in G2."""
    cdef Recovery recovery
    cdef size_t i, n = partial_signatures.shape[0], t = partial_signatures.shape[1]
    if (partial_signatures.shape[2] != 96 or signatures.shape[0] != n or signatures.shape[1] != 96
            or status.shape[0] != n):
        raise ValueError("recover_signatures: shapes disagree")
    if n == 0:
        return
    cdef blst_p2_affine *points = points_for(n)
    try:
        recovery_open(&recovery, [rule], n, t, lanes)
        with nogil:
            recover(points, &status[0], &partial_signatures[0, 0, 0], NULL, n, True, &recovery)
            for i in range(n):
                if status[i] == Status.OK:
                    blst_p2_affine_compress(&signatures[i, 0], &points[i])
            recovery_close(&recovery)
    finally:
        free(points)


def recover_and_check(const uint8_t[:, :, ::1] partial_signatures not None, list rules not None,
                      const uint32_t[::1] rule_of not None, const uint64_t[:, ::1] public_keys not None,
                      const uint64_t[:, ::1] hashes not None, const uint64_t[::1] weights not None,
                      uint8_t[:, ::1] signatures not None, uint8_t[::1] status not None, Lanes lanes):
    """Recover uint8[n, 96] and judge every result under its key and hashed root, in one weighted batch.

    Row i is interpolated by rules[rule_of[i]].
    The shares are not checked to be in G2: the recovered point is when it is judged. OK proves the signature, and nothing about the shares.
    """
    cdef Equations equations
    cdef Recovery recovery
    cdef int failed
    cdef size_t i, t = partial_signatures.shape[1], n = partial_signatures.shape[0], n_rules = len(rules)
    if (partial_signatures.shape[2] != 96 or rule_of.shape[0] != n or public_keys.shape[0] != n
            or public_keys.shape[1] != 12 or hashes.shape[0] != n or hashes.shape[1] != 24
            or weights.shape[0] != n or signatures.shape[0] != n or signatures.shape[1] != 96
            or status.shape[0] != n):
        raise ValueError("recover_and_check: shapes disagree")
    if n == 0:
        return
    for i in range(n):
        if rule_of[i] >= n_rules:
            raise ValueError("recover_and_check: rule_of points outside rules")
    cdef blst_p2_affine *points = points_for(n)
    try:
        recovery_open(&recovery, rules, n, t, lanes)
        with nogil:
            failed = equations_open(&equations, n)
            if failed == 0:
                recover(points, &status[0], &partial_signatures[0, 0, 0], &rule_of[0], n, False, &recovery)
                for i in range(n):
                    if status[i] == Status.OK:
                        status[i] = Status.NOT_CHECKED
                        blst_p2_affine_compress(&signatures[i, 0], &points[i])
                        equations_add(&equations, i, <const blst_p1_affine *> &public_keys[i, 0],
                                      <const blst_p2_affine *> &hashes[i, 0], &points[i], weights[i])
                failed = equations_judge(&equations, &status[0], &recovery.engine)
                equations_close(&equations)
            recovery_close(&recovery)
    finally:
        free(points)
    if failed:
        raise MemoryError("recover_and_check: no memory for the batch")
