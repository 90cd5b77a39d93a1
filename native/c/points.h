/* Points of G1 and G2, and their endomorphisms.
 *
 *   G1   phi(x, y) = (BETA x, y) multiplies by -x^2
 *   G2   psi(x, y) = (PSI_X conj(x), PSI_Y conj(y)) multiplies by x, which is negative
 *
 * A point of the curve is in the group just when that is so (eprint 2021/1130).
 *
 * Twin in blst: e1.c and e2.c; map_to_g1.c and map_to_g2.c, `in_G1` and `in_G2`.
 */
#pragma once
#include "fp2.h"

/* Groups of eight points that share an inversion. */
#define GROUPS 16

#define FIELD(name) fp_##name
#define CURVE(name) g1_##name
#define FIELD_BYTES 48
#include "curve.h"
#include "affine.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES

#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#define FIELD_BYTES 96
#include "curve.h"
#include "affine.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES

/* out = PSI_X conj(x); PSI_X has no real part: PSI_X (x0 - x1 i) = PSI_X.c1 (x1 + x0 i). x below 2^14 p */
INLINE void psi_x(fp2 *out, const fp2 *x)
{
    fp2 swapped = {x->c1, x->c0};
    fp factor;
    fp_set(&factor, PSI_X + LIMBS);
    fp2_mul_fp(out, &swapped, &factor);
}

/* out = PSI_Y conj(y); y below 64 p */
INLINE void psi_y(fp2 *out, const fp2 *y)
{
    fp2 factor, conjugate;
    fp2_set(&factor, PSI_Y);
    fp2_conjugate(&conjugate, y, P_64);
    fp2_mul(out, &conjugate, &factor);
}

/* out = psi(p) */
SHARED void g2_psi(g2_jacobian *out, const g2_jacobian *p)
{
    psi_x(&out->X, &p->X);
    psi_y(&out->Y, &p->Y);
    fp2 z = p->Z;
    fp2_conjugate(&out->Z, &z, P_64);
}

/* Whether |x| q = -psi(q). An exception on the way gives "no". */
SHARED lane_mask g2_in_group(const g2_affine *q)
{
    g2_jacobian T;
    fp2 x, y, zz;
    g2_multiply_affine_by_x(&T, q);
    fp2_sqr(&zz, &T.Z);
    psi_x(&x, &q->x);
    fp2_mul(&x, &x, &zz);
    psi_y(&y, &q->y);
    fp2_mul(&zz, &zz, &T.Z);
    fp2_mul(&y, &y, &zz);
    fp2_add(&y, &y, &T.Y);
    return fp2_equal(&x, &T.X) & fp2_is_zero(&y) & (lane_mask) ~fp2_is_zero(&T.Z);
}

/* Whether x^2 q = -phi(q). An exception on the way gives "no". */
SHARED lane_mask g1_in_group(const g1_affine *q)
{
    g1_jacobian T;
    fp x, y, zz, beta;
    g1_multiply_affine_by_x(&T, q);
    g1_multiply_by_x(&T, &T);
    fp_sqr(&zz, &T.Z);
    fp_set(&beta, BETA);
    fp_mul(&x, &q->x, &beta);
    fp_mul(&x, &x, &zz);
    fp_mul(&zz, &zz, &T.Z);
    fp_mul(&y, &q->y, &zz);
    fp_add(&y, &y, &T.Y);
    return fp_equal(&x, &T.X) & fp_is_zero(&y) & (lane_mask) ~fp_is_zero(&T.Z);
}
