/* Uniform bytes to points of G2 (RFC 9380, BLS12381G2_XMD:SHA-256_SSWU_RO_, after expand_message).
 *
 * The simplified SWU map to y^2 = x^3 + A x + B, its coordinates as fractions:
 *
 *     v = Z u^2    x1 = B (v^2 + v + 1) / (-A (v^2 + v))    x2 = v x1       (x1 = B / (Z A) when v^2 + v = 0)
 *
 * One of x1, x2 is on the curve: where g(x) = x^3 + A x + B and g(x1) = N / D, D = d^3, is no square,
 * g(x2) = Z^3 u^6 N / D is. With a = N D^3, or a = Z^-3 N D^3 for x2, and the root w of a or of -a,
 *
 *     y = N D / w  or  u^3 N D / w,    1 / w = conj(w) / norm(w),    norm(w) = +- s,  s^2 = norm(a);
 *
 * signs do not matter, as y then gets the sign of u. Norm and 1 / s of both cases come from one power:
 * with n = norm(N D^3), c = n^((p - 3) / 4) is 1 / sqrt(n) up to sign for a square, and otherwise
 * c / SSWU_ROOT is 1 / sqrt(norm(Z^-3) n) = 1 / sqrt(n / 125).
 *
 * Where a lane met an exception of the additions Z is 0 in the end.
 *
 * Twin in blst: map_to_g2.c.
 */
#pragma once
#include "decode.h"

/* out = 64 big-endian bytes at each offset, modulo p, in Montgomery form */
SHARED void field_element(fp *out, const uint8_t *base, lanes offsets)
{
    fp high, factor;
    lanes w[6];
    UNROLL for (int k = 0; k < 6; k++)
        w[k] = k < 2 ? lane_swap_bytes(lane_gather(base + 8 - 8 * k, offsets)) : lane_set(0);
    limbs_of_words(&high, w);
    fp_declare(&high, 1);
    load_big_endian(out, base + 16, offsets, 0);
    fp_to_montgomery(out);
    fp_set(&factor, HIGH_TO_MONTGOMERY);
    fp_mul(&high, &high, &factor);
    fp_add(out, out, &high);
}

/* sgn0 of RFC 9380, 4.1: the parity of the first part that is not 0 */
SHARED lane_mask is_odd(const fp2 *a)
{
    fp c0, c1;
    fp_canonical(&c0, &a->c0);
    fp_canonical(&c1, &a->c1);
    return lane_any_bits(c0.limb[0], lane_set(1)) | (all_zero(&c0) & lane_any_bits(c1.limb[0], lane_set(1)));
}

INLINE void fp2_mul_constant(fp2 *out, const fp2 *a, const uint64_t *limbs)
{
    fp2 factor;
    fp2_set(&factor, limbs);
    fp2_mul(out, a, &factor);
}

INLINE void fp_mul_constant(fp *out, const fp *a, const uint64_t *limbs)
{
    fp factor;
    fp_set(&factor, limbs);
    fp_mul(out, a, &factor);
}

/* out[k] = 1 / w of a[k], or of Z^-3 a[k] where a[k] is no square; square[]: where it is. n elements below 64 p */
SHARED void inverse_roots(fp2 *out, const fp2 *a, lane_mask *square, int n)
{
    fp norm[STREAMS], c[STREAMS], t[STREAMS], r[STREAMS];
    fp2 of[STREAMS];
    for (int k = 0; k < n; k++)
        fp2_norm(&norm[k], &a[k]);
    fp_reciprocal_roots(c, norm, n);
    for (int k = 0; k < n; k++) {
        fp s, s_squared, other;
        fp2 other_a;
        fp_mul(&s, &c[k], &norm[k]);
        fp_sqr(&s_squared, &s);
        square[k] = fp_equal(&s_squared, &norm[k]);
        fp2_mul_constant(&other_a, &a[k], SSWU_INVERSE_ZZZ);
        fp2_select(&of[k], square[k], &other_a, &a[k]);
        fp_mul_constant(&other, &s, SSWU_ROOT);
        fp_select(&s, square[k], &other, &s);
        fp_mul_constant(&other, &c[k], SSWU_INVERSE_ROOT);
        fp_select(&c[k], square[k], &other, &c[k]);
        half_trace(&t[k], &of[k].c0, &s);
    }
    fp_reciprocal_roots(r, t, n);
    for (int k = 0; k < n; k++) {
        fp2 root;
        fp2_root_from(&root, &of[k], &t[k], &r[k]);
        fp2_conjugate(&root, &root, P_4);
        fp2_mul_fp(&out[k], &root, &c[k]);
    }
}

/* The SWU map of n elements u, to points of the curve that is isogenous to G2's: (out[k].x / d[k], out[k].y). */
SHARED void map_to_isogenous(g2_affine *out, fp2 *d, const fp2 *u, int n)
{
    fp2 v[STREAMS], x1[STREAMS], ddd[STREAMS], nd[STREAMS], a[STREAMS], inverse[STREAMS];
    lane_mask square[STREAMS];
    for (int k = 0; k < n; k++) {
        fp2 vv, t, g, exception;
        fp one;
        fp2_sqr(&t, &u[k]);
        fp2_mul_constant(&v[k], &t, SSWU_Z);
        fp2_sqr(&vv, &v[k]);
        fp2_add(&vv, &vv, &v[k]);
        fp2_mul_constant(&d[k], &vv, SSWU_MINUS_A);
        fp2_set(&exception, SSWU_ZA);
        fp2_select(&d[k], fp2_is_zero(&vv), &d[k], &exception);
        fp_set_one(&one);
        fp_add(&vv.c0, &vv.c0, &one);
        fp2_mul_constant(&x1[k], &vv, SSWU_B);
        /* N = x1^3 + A x1 d^2 + B d^3 */
        fp2_sqr(&t, &d[k]);
        fp2_mul(&ddd[k], &d[k], &t);
        fp2_mul_constant(&t, &t, SSWU_A);
        fp2_sqr(&g, &x1[k]);
        fp2_add(&g, &g, &t);
        fp2_mul(&g, &g, &x1[k]);
        fp2_mul_constant(&t, &ddd[k], SSWU_B);
        fp2_add(&g, &g, &t);
        fp2_mul(&nd[k], &g, &ddd[k]);
        fp2_sqr(&t, &ddd[k]);
        fp2_mul(&a[k], &nd[k], &t);
    }
    inverse_roots(inverse, a, square, n);
    for (int k = 0; k < n; k++) {
        fp2 y, y2, x2;
        fp2_mul(&y, &inverse[k], &nd[k]);
        fp2_mul(&x2, &x1[k], &v[k]);
        fp2_sqr(&y2, &u[k]);
        fp2_mul(&y2, &y2, &u[k]);
        fp2_mul(&y2, &y2, &y);
        fp2_select(&out[k].x, square[k], &x2, &x1[k]);
        fp2_select(&y, square[k], &y2, &y);
        g2_negate_y(&out[k].y, is_odd(&u[k]) ^ is_odd(&y), &y);
    }
}

/* out = c[0] + c[1] x + ... of n coefficients, and x^n where `monic` */
SHARED void horner(fp2 *out, const uint64_t *coefficients, int n, int monic, const fp2 *x)
{
    fp2 c;
    if (monic)
        *out = *x;
    else
        fp2_set(out, coefficients + 2 * LIMBS * --n);
    for (int k = n - 1; k >= 0; k--) {
        if (k < n - 1 || !monic)
            fp2_mul(out, out, x);
        fp2_set(&c, coefficients + 2 * LIMBS * k);
        fp2_add(out, out, &c);
    }
}

/* The 3-isogeny to G2's curve: fractions x = xn / xd and y = yn / yd times y. */
SHARED void isogeny(g2_jacobian *out, const g2_affine *p)
{
    fp2 x_numerator, x_denominator, y_numerator, y_denominator, t;
    horner(&x_numerator, ISOGENY_X_NUMERATOR, 4, 0, &p->x);
    horner(&x_denominator, ISOGENY_X_DENOMINATOR, 2, 1, &p->x);
    horner(&y_numerator, ISOGENY_Y_NUMERATOR, 4, 0, &p->x);
    fp2_mul(&y_numerator, &y_numerator, &p->y);
    horner(&y_denominator, ISOGENY_Y_DENOMINATOR, 3, 1, &p->x);
    /* Z = xd yd, X = xn yd Z, Y = yn xd Z^2 */
    fp2_mul(&out->Z, &x_denominator, &y_denominator);
    fp2_mul(&t, &x_numerator, &y_denominator);
    fp2_mul(&out->X, &t, &out->Z);
    fp2_sqr(&t, &out->Z);
    fp2_mul(&t, &t, &x_denominator);
    fp2_mul(&out->Y, &t, &y_numerator);
}

/* Room for points p on their way to G2. First there are two points each of the isogenous curve, whose x have
 * denominators d. Then q is p, t is |x| q + first, and |x| t + second is in G2.
 */
typedef struct {
    g2_round round;
    lane_mask fine[GROUPS];  /* without an exception */
    g2_jacobian p[GROUPS];
    union {
        struct { g2_affine of_u[2 * GROUPS]; fp2 d[2 * GROUPS]; fp inverse[2 * GROUPS], room[2 * GROUPS]; };
        struct { g2_affine q[GROUPS], t[GROUPS], first[GROUPS], second[GROUPS], minus[GROUPS], minus_psi[GROUPS]; };
    };
} hash_room;

/* Elements u of Fp2 of a group from 256 uniform bytes at each offset, mapped to points k and k + 1. */
SHARED void map_uniform(hash_room *r, int k, const uint8_t *uniform, lanes offsets)
{
    fp2 u[2];
    for (int i = 0; i < 2; i++) {
        field_element(&u[i].c0, uniform + 128 * i, offsets);
        field_element(&u[i].c1, uniform + 128 * i + 64, offsets);
    }
    map_to_isogenous(&r->of_u[k], &r->d[k], u, 2);
}

/* p = the sum of the two points on the isogenous curve, on G2's, of n groups. Its cofactor is still to be cleared. */
static void add_mapped(hash_room *r, int n)
{
    lane_mask zero[2 * GROUPS];
    for (int k = 0; k < 2 * n; k++)
        fp2_norm(&r->inverse[k], &r->d[k]);
    fp_divide_each(r->inverse, r->room, zero, NULL, 2 * n);
    for (int k = 0; k < 2 * n; k++)
        fp2_divide_by_norm(&r->of_u[k].x, &r->of_u[k].x, &r->d[k], &r->inverse[k]);
    r->round.n = 0;
    for (int k = 0; k < n; k++) {
        r->fine[k] = (lane_mask) ~(zero[2 * k] | zero[2 * k + 1]);
        g2_queue(&r->round, &r->of_u[2 * k], &r->of_u[2 * k], &r->of_u[2 * k + 1], &r->fine[k]);
    }
    g2_run(&r->round);
    for (int k = 0; k < n; k++)
        isogeny(&r->p[k], &r->of_u[2 * k]);
}

/* first = q - psi(q) and second = psi(psi(2 q)) - q - psi(q) of n groups. */
static void cofactor_terms(hash_room *r, int n)
{
    for (int k = 0; k < n; k++) {
        const g2_affine *q = &r->q[k];
        g2_affine *minus = &r->minus[k], *minus_psi = &r->minus_psi[k];
        psi_x(&minus_psi->x, &q->x);
        psi_y(&minus_psi->y, &q->y);
        fp2_negate(&minus_psi->y, &minus_psi->y, P_4);
        minus->x = q->x;
        fp2_negate(&minus->y, &q->y, P_4);
        g2_queue(&r->round, &r->first[k], q, minus_psi, &r->fine[k]);
        g2_queue(&r->round, &r->second[k], q, q, &r->fine[k]);
        g2_queue(&r->round, minus, minus, minus_psi, &r->fine[k]);
    }
    g2_run(&r->round);
    for (int k = 0; k < n; k++) {
        g2_affine *second = &r->second[k];
        fp factor;
        fp_set(&factor, PSI_SQUARED_X);  /* psi(psi(x, y)) = (PSI_SQUARED_X x, -y) */
        fp2_mul_fp(&second->x, &second->x, &factor);
        fp2_negate(&second->y, &second->y, P_8);
        g2_queue(&r->round, second, second, &r->minus[k], &r->fine[k]);
    }
    g2_run(&r->round);
}

/* p = (x^2 - x - 1) p + (x - 1) psi(p) + psi(psi(2 p)) of n groups, in G2 (eprint 2017/419). An exception makes
 * Z = 0. */
static void clear_cofactors(hash_room *r, int n)
{
    lane_mask zero[GROUPS], zero_then[GROUPS];
    g2_to_affine(r->q, r->p, zero, n);
    cofactor_terms(r, n);
    for (int k = 0; k < n; k++) {
        g2_multiply_affine_by_x(&r->p[k], &r->q[k]);
        g2_add_affine(&r->p[k], &r->p[k], &r->first[k]);
    }
    g2_to_affine(r->t, r->p, zero_then, n);
    for (int k = 0; k < n; k++) {
        g2_multiply_affine_by_x(&r->p[k], &r->t[k]);
        g2_add_affine(&r->p[k], &r->p[k], &r->second[k]);
        g2_set_zero(&r->p[k], zero[k] | zero_then[k] | (lane_mask) ~r->fine[k]);
    }
}
