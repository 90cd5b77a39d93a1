# Interpolation on the curve of G2 by precomputed rules.
from libc.stdint cimport int8_t
from dvtfast._native.blst cimport *

cdef enum:
    INTERPOLATED_TOGETHER = 32  # rows whose additions share an inversion

cdef struct Term:
    size_t share
    size_t power          # of |x|, by -psi
    const int8_t *digits  # [length], lowest first

cdef struct Plan:
    size_t shares, multiples, powers, length, n_terms
    const Term *terms
    const Plan *scale

cdef class Rule:
    cdef Plan plan
    cdef Term *terms
    cdef list digits
    cdef Rule scale

cdef size_t interpolation_bytes(const Plan *plan) noexcept nogil
cdef void interpolate(blst_p2_affine *out, const blst_p2_affine *shares, size_t rows, const Plan *plan,
                      void *memory) noexcept nogil
