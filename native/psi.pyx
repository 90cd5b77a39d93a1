"""The constants of psi: psi(x, y) = (conj(x) / (1 + i)^((p-1)/3), conj(y) / (1 + i)^((p-1)/2)).

Source: draft-irtf-cfrg-pairing-friendly-curves (p); eprint 2021/1130 (psi acts on G2 as the curve
parameter x).
"""
from libc.string cimport memset
from dvtfast._native.blst cimport *

cdef object FIELD_ORDER = 0x1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab


cdef void power(blst_fp2 *out, const blst_fp2 *base, object exponent):
    cdef int bit
    out[0] = PSI.one
    for bit in range(exponent.bit_length() - 1, -1, -1):
        blst_fp2_sqr(out, out)
        if (exponent >> bit) & 1:
            blst_fp2_mul(out, out, base)


cdef void fill():
    cdef uint64_t words[6]
    cdef blst_fp2 base, conjugate
    memset(words, 0, sizeof(words))
    words[0] = 1
    memset(&PSI, 0, sizeof(PSI))
    blst_fp_from_uint64(&PSI.one.fp[0], words)
    base.fp[0] = base.fp[1] = PSI.one.fp[0]
    power(&PSI.x, &base, (FIELD_ORDER - 1) // 3)
    power(&PSI.y, &base, (FIELD_ORDER - 1) // 2)
    blst_fp2_eucl_inverse(&PSI.x, &PSI.x)
    blst_fp2_eucl_inverse(&PSI.y, &PSI.y)
    conjugate = PSI.x
    blst_fp_cneg(&conjugate.fp[1], &conjugate.fp[1], True)
    blst_fp2_mul(&conjugate, &conjugate, &PSI.x)
    PSI.squared_x = conjugate.fp[0]


fill()
