# Many independent affine additions at once, with one shared inversion. A point is two field
# elements, x and y, as in blst's affine structs; infinity is all zeros.
from libc.string cimport memset
from dvtfast._native.blst cimport *

ctypedef fused field_t:
    blst_fp   # G1
    blst_fp2  # G2


cdef inline void multiply(field_t *out, const field_t *a, const field_t *b) noexcept nogil:
    if field_t is blst_fp:
        blst_fp_mul(out, a, b)
    else:
        blst_fp2_mul(out, a, b)


cdef inline void square(field_t *out, const field_t *a) noexcept nogil:
    if field_t is blst_fp:
        blst_fp_sqr(out, a)
    else:
        blst_fp2_sqr(out, a)


cdef inline void add(field_t *out, const field_t *a, const field_t *b) noexcept nogil:
    if field_t is blst_fp:
        blst_fp_add(out, a, b)
    else:
        blst_fp2_add(out, a, b)


cdef inline void subtract(field_t *out, const field_t *a, const field_t *b) noexcept nogil:
    if field_t is blst_fp:
        blst_fp_sub(out, a, b)
    else:
        blst_fp2_sub(out, a, b)


cdef inline void negate(field_t *out, bint flag) noexcept nogil:
    if field_t is blst_fp:
        blst_fp_cneg(out, out, flag)
    else:
        blst_fp2_cneg(out, out, flag)


cdef inline void invert(field_t *out, const field_t *a) noexcept nogil:
    if field_t is blst_fp:
        blst_fp_eucl_inverse(out, a)
    else:
        blst_fp2_eucl_inverse(out, a)


cdef inline bint is_zero(const field_t *values, size_t n) noexcept nogil:
    """Whether n field elements are zero."""
    cdef const uint64_t *words = <const uint64_t *> values
    cdef uint64_t all_bits = 0
    cdef size_t i
    for i in range(n * sizeof(field_t) // 8):
        all_bits |= words[i]
    return all_bits == 0


cdef inline void add_all(field_t **totals, const field_t **terms, size_t n, const field_t *one,
                         field_t *scratch) noexcept nogil:
    """*totals[i] += *terms[i] for n points of odd order; equal, opposite and infinite operands are fine.

    No total occurs twice. `one` is the field's one; `scratch` has room for 2 * n elements. Simultaneous
    inversion (Montgomery): five multiplications and a squaring for each addition.
    """
    cdef field_t *denominators = scratch
    cdef field_t *prefixes = scratch + n
    cdef field_t running = one[0], inverse, slope
    cdef field_t *p
    cdef const field_t *q
    cdef size_t i
    for i in range(n):
        p, q = totals[i], terms[i]
        prefixes[i] = running
        subtract(&denominators[i], &q[0], &p[0])
        if is_zero(p, 2) or is_zero(q, 2):
            memset(&denominators[i], 0, sizeof(field_t))
        elif is_zero(&denominators[i], 1):
            add(&denominators[i], &p[1], &q[1])  # 2y when equal, 0 when opposite
        if not is_zero(&denominators[i], 1):
            multiply(&running, &running, &denominators[i])
    invert(&running, &running)
    for i in range(n, 0, -1):
        p, q = totals[i - 1], terms[i - 1]
        if is_zero(&denominators[i - 1], 1):  # one is infinite, or their sum is
            if is_zero(p, 2):
                p[0], p[1] = q[0], q[1]
            elif not is_zero(q, 2):
                memset(p, 0, 2 * sizeof(field_t))
            continue
        multiply(&inverse, &running, &prefixes[i - 1])
        multiply(&running, &running, &denominators[i - 1])
        subtract(&slope, &q[0], &p[0])
        if is_zero(&slope, 1):
            square(&slope, &p[0])  # 3 x^2
            add(&denominators[i - 1], &slope, &slope)
            add(&slope, &slope, &denominators[i - 1])
        else:
            subtract(&slope, &q[1], &p[1])
        multiply(&slope, &slope, &inverse)
        square(&inverse, &slope)
        subtract(&inverse, &inverse, &p[0])
        subtract(&inverse, &inverse, &q[0])  # the new x
        subtract(&p[0], &p[0], &inverse)
        multiply(&slope, &slope, &p[0])
        subtract(&p[1], &slope, &p[1])
        p[0] = inverse


cdef struct Round:  # of additions that wait for `run`; there is room for `capacity` of them
    void **totals
    const void **terms
    void *scratch
    size_t n


cdef inline size_t round_bytes(size_t capacity, size_t element_bytes) noexcept nogil:
    """Memory that `round_open` takes for a round of points of two such field elements."""
    return capacity * (2 * element_bytes + 2 * sizeof(void *))


cdef inline void round_open(Round *round, void *memory, size_t capacity, size_t element_bytes) noexcept nogil:
    round.scratch = memory
    round.totals = <void **> (<char *> memory + 2 * capacity * element_bytes)
    round.terms = <const void **> (round.totals + capacity)
    round.n = 0


cdef inline void queue(Round *round, void *total, const void *term) noexcept nogil:
    """*total += *term with the next `run`; no total twice, but the term may be the total."""
    round.totals[round.n] = total
    round.terms[round.n] = term
    round.n += 1


cdef inline void queue_rows(Round *round, field_t *totals, const field_t *terms, size_t n) noexcept nogil:
    """totals[i] += terms[i] for n points."""
    cdef size_t i
    for i in range(n):
        queue(round, totals + 2 * i, terms + 2 * i)


cdef inline void run(Round *round, const field_t *one) noexcept nogil:
    """Do what was queued."""
    if round.n:
        add_all(<field_t **> round.totals, <const field_t **> round.terms, round.n, one,
                <field_t *> round.scratch)
    round.n = 0
