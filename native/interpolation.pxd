# Interpolation on the curve of G2 by precomputed rules.
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport Engine, Plan, Term

cdef enum:
    INTERPOLATED_TOGETHER = 32  # rows whose additions share an inversion, without lanes

cdef class Rule:
    cdef Plan plan
    cdef Term *terms
    cdef list digits
    cdef Rule scale

cdef size_t rows_together(const Engine *engine) noexcept nogil
cdef size_t interpolation_bytes(const Plan *plan) noexcept nogil
cdef void interpolate_rows(const Engine *engine, blst_p2_affine *out, blst_p2_affine *shares, const uint8_t *wanted,
                           size_t rows, const Plan *plan, void *memory) noexcept nogil
