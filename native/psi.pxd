# The endomorphism psi of G2: a few field multiplications that multiply by the curve parameter x.
from dvtfast._native.blst cimport *

cdef struct Psi:
    blst_fp2 x, y       # what the conjugated coordinates are multiplied by
    blst_fp squared_x   # psi(psi(x, y)) = (squared_x * x, -y)
    blst_fp2 one

cdef Psi PSI


cdef inline void minus_psi(blst_fp2 *out, const blst_fp2 *point) noexcept nogil:
    """out = -psi(point) = |x| * point for an affine point of G2; outside G2 another point of the curve."""
    out[0], out[1] = point[0], point[1]
    blst_fp_cneg(&out[0].fp[1], &out[0].fp[1], True)
    blst_fp_cneg(&out[1].fp[1], &out[1].fp[1], True)
    blst_fp2_mul(&out[0], &out[0], &PSI.x)
    blst_fp2_mul(&out[1], &out[1], &PSI.y)
    blst_fp2_cneg(&out[1], &out[1], True)


cdef inline void psi_squared(blst_fp2 *out, const blst_fp2 *point) noexcept nogil:
    """out = psi(psi(point)) = x^2 * point; as above."""
    blst_fp_mul(&out[0].fp[0], &point[0].fp[0], &PSI.squared_x)
    blst_fp_mul(&out[0].fp[1], &point[0].fp[1], &PSI.squared_x)
    blst_fp2_cneg(&out[1], &point[1], True)
