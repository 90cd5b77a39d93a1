"""Interpolation on the curve of G2, by a rule that is made once for each set of share indices.

A rule is a sum of terms, then perhaps a multiplication by a scalar, which is a rule of one share:

    value = scale * sum digits_i(2) * |x|^power_i * (value at share index share_i)

Digits are signed, odd or zero; `_lagrange.py` chooses them. Multiplication by |x| is -psi, in G2. Rows
go through a rule in step, in affine coordinates, so that one inversion serves each addition of all; a
few rows alone would not pay for it, and are added up one by one.

Senders choose the points, so every addition here handles equal, opposite and infinite operands. Shares
outside G2 may give any point: callers check the result.

With lanes eight rows go through a rule side by side, and those that meet such an operand go here again.
"""
cimport cython
from libc.stdint cimport int8_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from dvtfast._native.affine cimport Round, negate, queue, round_bytes, round_open, run
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport ROWS_TOGETHER, Engine, Plan, Term
from dvtfast._native.psi cimport PSI, minus_psi, psi_squared

cdef enum:
    MOST_POWERS = 4
    FEW_ROWS = 8  # below it an inversion costs more than projective additions
    LANES_ROWS = 2  # below it lanes, most of them idle, are slower than blst


@cython.final
cdef class Rule:
    """terms: tuples (share, power, digits as signed bytes), equally long; |digit| < 2 * multiples."""

    def __cinit__(self, size_t shares, size_t multiples, list terms not None, Rule scale):
        cdef size_t i, j
        cdef int digit
        cdef const int8_t *digits
        if not terms or not terms[0][2] or shares < 1 or multiples < 1:
            raise ValueError("Rule: expected shares, multiples and terms with digits")
        self.terms = <Term *> calloc(len(terms), sizeof(Term))
        if self.terms == NULL:
            raise MemoryError("Rule: no memory")
        self.digits = [bytes(term[2]) for term in terms]
        self.scale = scale
        self.plan.shares, self.plan.multiples, self.plan.powers = shares, multiples, 1
        self.plan.length, self.plan.n_terms, self.plan.terms = len(self.digits[0]), len(terms), self.terms
        self.plan.scale = NULL if scale is None else &scale.plan
        for i in range(len(terms)):
            self.terms[i].share, self.terms[i].power = terms[i][0], terms[i][1]
            self.terms[i].digits = digits = <const int8_t *> <const char *> self.digits[i]
            self.plan.powers = max(self.plan.powers, self.terms[i].power + 1)
            if (self.terms[i].share >= shares or self.terms[i].power >= MOST_POWERS
                    or len(self.digits[i]) != self.plan.length):
                raise ValueError("Rule: a term of another share, power or length")
            for j in range(self.plan.length):
                digit = digits[j] if digits[j] >= 0 else -digits[j]
                if digit and (digit % 2 == 0 or digit >= <int> (2 * multiples)):
                    raise ValueError("Rule: a digit that no multiple fits")
        if scale is not None and (scale.plan.shares != 1 or scale.plan.scale != NULL):
            raise ValueError("Rule: a scale is a rule of one share")

    def __dealloc__(self):
        free(self.terms)


cdef size_t interpolation_bytes(const Plan *plan) noexcept nogil:
    """Memory that `interpolate` takes for this rule."""
    cdef size_t rows = INTERPOLATED_TOGETHER
    cdef size_t points = rows * (plan.shares * (plan.powers * plan.multiples + 1) + 1)
    cdef size_t own = points * sizeof(blst_p2_affine) + round_bytes(rows * plan.shares, sizeof(blst_fp2))
    return own if plan.scale == NULL else max(own, interpolation_bytes(plan.scale))


cdef size_t rows_together(const Engine *engine) noexcept nogil:
    """At most so many rows of `interpolate_rows`."""
    return INTERPOLATED_TOGETHER if engine.lanes == NULL else ROWS_TOGETHER


cdef void interpolate_rows(const Engine *engine, blst_p2_affine *out, blst_p2_affine *shares, const uint8_t *wanted,
                           size_t rows, const Plan *plan, void *memory) noexcept nogil:
    """out[rows] from shares[rows][plan.shares], which are overwritten; where not wanted[i] out[i] is undefined."""
    cdef uint8_t well[ROWS_TOGETHER]
    cdef size_t left[INTERPOLATED_TOGETHER]
    cdef blst_p2_affine results[INTERPOLATED_TOGETHER]
    cdef size_t i, j, n_left = 0, share_bytes = plan.shares * sizeof(blst_p2_affine)
    if engine.lanes == NULL or rows < LANES_ROWS:
        interpolate(out, shares, rows, plan, memory)
        return
    engine.lanes.interpolate(out, well, shares, rows, plan, engine.scratch)
    for i in range(rows):
        if wanted[i] and not well[i]:
            memcpy(shares + n_left * plan.shares, shares + i * plan.shares, share_bytes)
            left[n_left] = i
            n_left += 1
        if n_left == INTERPOLATED_TOGETHER or (i == rows - 1 and n_left):
            interpolate(results, shares, n_left, plan, memory)
            for j in range(n_left):
                out[left[j]] = results[j]
            n_left = 0


cdef void interpolate(blst_p2_affine *out, const blst_p2_affine *shares, size_t rows, const Plan *plan,
                      void *memory) noexcept nogil:
    """out[rows] from shares[rows][plan.shares]; at most INTERPOLATED_TOGETHER rows. `out` may be `shares`."""
    cdef size_t of_share = rows * plan.multiples, of_power = of_share * plan.shares, share, i, m
    # table[power][share][multiple][row]: the odd multiples
    cdef blst_p2_affine *table = <blst_p2_affine *> memory
    cdef blst_p2_affine *twice = table + of_power * plan.powers  # [share][row]
    cdef blst_p2_affine *term = twice + rows * plan.shares       # [row]
    cdef blst_p2_affine *multiple
    cdef Round round
    round_open(&round, term + rows, rows * plan.shares, sizeof(blst_fp2))
    for share in range(plan.shares):
        for i in range(rows):
            table[share * of_share + i] = shares[i * plan.shares + share]
    if plan.multiples > 1:
        for share in range(plan.shares):
            for i in range(rows):
                twice[share * rows + i] = table[share * of_share + i]
                queue(&round, &twice[share * rows + i], &table[share * of_share + i])
        run(&round, &PSI.one)
    for m in range(1, plan.multiples):
        for share in range(plan.shares):
            multiple = table + share * of_share + m * rows
            memcpy(multiple, multiple - rows, rows * sizeof(blst_p2_affine))
            for i in range(rows):
                queue(&round, &multiple[i], &twice[share * rows + i])
        run(&round, &PSI.one)
    for i in range(of_power, of_power * plan.powers):
        if i < 2 * of_power:
            minus_psi(<blst_fp2 *> &table[i], <const blst_fp2 *> &table[i - of_power])
        else:
            psi_squared(<blst_fp2 *> &table[i], <const blst_fp2 *> &table[i - 2 * of_power])

    if rows < FEW_ROWS:
        for i in range(rows):
            add_up_row(&out[i], table, rows, i, plan)
    else:
        add_up_rows(out, table, rows, plan, &round, term)
    if plan.scale != NULL:
        interpolate(out, out, rows, plan.scale, memory)


cdef const blst_p2_affine *multiple_of(const blst_p2_affine *table, size_t rows, const Plan *plan,
                                       const Term *term, int digit) noexcept nogil:
    """Row 0 of a term times |digit|."""
    cdef size_t multiple = (digit if digit > 0 else -digit) // 2
    return table + ((term.power * plan.shares + term.share) * plan.multiples + multiple) * rows


cdef void add_up_rows(blst_p2_affine *out, const blst_p2_affine *table, size_t rows, const Plan *plan,
                      Round *round, blst_p2_affine *term) noexcept nogil:
    """The sum of all terms, for all rows together."""
    cdef size_t i, m, position
    cdef int digit
    cdef bint begun = False
    memset(out, 0, rows * sizeof(blst_p2_affine))
    for position in range(plan.length, 0, -1):
        if begun:
            for i in range(rows):
                queue(round, &out[i], &out[i])
            run(round, &PSI.one)
        for m in range(plan.n_terms):
            digit = plan.terms[m].digits[position - 1]
            if digit == 0:
                continue
            memcpy(term, multiple_of(table, rows, plan, &plan.terms[m], digit), rows * sizeof(blst_p2_affine))
            for i in range(rows):
                negate(&(<blst_fp2 *> &term[i])[1], digit < 0)
                if begun:
                    queue(round, &out[i], &term[i])
            run(round, &PSI.one)
            if not begun:
                memcpy(out, term, rows * sizeof(blst_p2_affine))
                begun = True


cdef void add_up_row(blst_p2_affine *out, const blst_p2_affine *table, size_t rows, size_t row,
                     const Plan *plan) noexcept nogil:
    """The sum of all terms, for one row."""
    cdef blst_p2 total
    cdef blst_p2_affine term
    cdef size_t m, position
    cdef int digit
    memset(&total, 0, sizeof(total))
    for position in range(plan.length, 0, -1):
        blst_p2_double(&total, &total)
        for m in range(plan.n_terms):
            digit = plan.terms[m].digits[position - 1]
            if digit:
                term = multiple_of(table, rows, plan, &plan.terms[m], digit)[row]
                blst_fp2_cneg(&term.y, &term.y, digit < 0)
                blst_p2_add_or_double_affine(&total, &total, &term)
    blst_p2_to_affine(out, &total)
