/* Fp12 = Fp6[w] / (w^2 - v), Fp6 = Fp2[v] / (v^3 - xi), xi = 1 + i; c[0 .. 2] + c[3 .. 5] w, as in blst.
 *
 * Each coefficient of a product is a sum of products in Fp2, which is reduced once.
 *
 * Twin in blst: fp12_tower.c.
 */
#pragma once
#include "fp2.h"

/* An element of Fp2 as a factor of several products: its parts and their sum. */
typedef struct { fp c0, c1, sum; } factor;

typedef struct { factor c[6]; } fp12;

INLINE void set_factor(factor *out, const fp2 *a)
{
    out->c0 = a->c0;
    out->c1 = a->c1;
    fp_add(&out->sum, &a->c0, &a->c1);
}

/* out = xi a; a below k */
INLINE void times_xi(fp2 *out, const fp2 *a, multiple k)
{
    fp c0;
    fp_sub(&c0, &a->c0, &a->c1, k);
    fp_add(&out->c1, &a->c0, &a->c1);
    out->c0 = c0;
}

/* out = xi a, whose parts add up to 2 a0; a below k */
INLINE void factor_times_xi(factor *out, const factor *a, multiple k)
{
    fp_sub(&out->c0, &a->c0, &a->c1, k);
    out->c1 = a->sum;
    fp_add(&out->sum, &out->c0, &out->c1);
}

INLINE void factor_add(factor *out, const factor *a, const factor *b)
{
    fp_add(&out->c0, &a->c0, &b->c0);
    fp_add(&out->c1, &a->c1, &b->c1);
    fp_add(&out->sum, &a->sum, &b->sum);
}

INLINE const fp *part_of(const factor *a, int part) { return part == 0 ? &a->c0 : part == 1 ? &a->c1 : &a->sum; }

/* t = sum of the products of one part of a[k] and x[k], k < n */
INLINE void set_sum(lanes t[2 * LIMBS], const factor *const *a, const factor *const *x, int part, int n)
{
    const fp *left[3], *right[3];
    UNROLL for (int k = 0; k < n; k++) {
        left[k] = part_of(a[k], part);
        right[k] = part_of(x[k], part);
    }
    set_products(t, left, right, n);
}

/* out = c + sum of a[k] x[k], k < n; c0 is below c's + (sum a0 x0 p / R + 2.2501) p. c may be NULL. */
INLINE void add_products(fp2 *out, const factor *c, const factor *const *a, const factor *const *x, int n)
{
    lanes t[2 * LIMBS], u[2 * LIMBS];
#ifdef LANES_CHECKED
    double product0 = 0, product1 = 0, taken = 0;
    for (int k = 0; k < n; k++) {
        product0 += a[k]->c0.bound * x[k]->c0.bound;
        taken += a[k]->c1.bound * x[k]->c1.bound;
        product1 += a[k]->c0.bound * x[k]->c1.bound + a[k]->c1.bound * x[k]->c0.bound;
    }
    double bound0 = REDUCED(product0) + 1 + (c ? c->c0.bound : 0), bound1 = REDUCED(product1) + (c ? c->c1.bound : 0);
    CHECK(taken * P_PER_R <= 1);
#endif
    set_sum(u, a, x, 0, n);
    set_sum(t, a, x, 1, n);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++) {
        lanes first = u[i];
        u[i] = lane_add(first, t[i]);
        t[i] = lane_sub(first, t[i]);
    }
    add_p_r(t);
    if (c)
        add_r_times(t, &c->c0);
    reduce(&out->c0, t);
    set_sum(t, a, x, 2, n);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = lane_sub(t[i], u[i]);
    if (c)
        add_r_times(t, &c->c1);
    reduce(&out->c1, t);
    fp_declare(&out->c0, bound0);
    fp_declare(&out->c1, bound1);
}

/* out = a x + b y + c z in Fp2 */
SHARED void fp2_mul3(fp2 *out, const factor *a, const factor *x, const factor *b, const factor *y, const factor *c,
                     const factor *z)
{
    add_products(out, NULL, (const factor *[]) {a, b, c}, (const factor *[]) {x, y, z}, 3);
}

/* out = c + a x + b y in Fp2 */
SHARED void fp2_add_mul2(factor *out, const factor *c, const factor *a, const factor *x, const factor *b,
                         const factor *y)
{
    fp2 sum;
    add_products(&sum, c, (const factor *[]) {a, b}, (const factor *[]) {x, y}, 2);
    set_factor(out, &sum);
}

/* out = a b in Fp6; b below k */
INLINE void fp6_mul(fp2 out[3], const factor a[3], const factor b[3], multiple k)
{
    factor xi_b1, xi_b2;
    factor_times_xi(&xi_b1, &b[1], k);
    factor_times_xi(&xi_b2, &b[2], k);
    fp2_mul3(&out[0], &a[0], &b[0], &a[1], &xi_b2, &a[2], &xi_b1);
    fp2_mul3(&out[1], &a[0], &b[1], &a[1], &b[0], &a[2], &xi_b2);
    fp2_mul3(&out[2], &a[0], &b[2], &a[1], &b[1], &a[2], &b[0]);
}

INLINE void fp12_set_one(fp12 *out)
{
    fp2 none;
    fp_clear(&none.c0);
    fp_clear(&none.c1);
    for (int k = 1; k < 6; k++)
        set_factor(&out->c[k], &none);
    fp2_set_one(&none);
    set_factor(&out->c[0], &none);
}

/* out = f^2: with f = a + b w, (a + b)(a + v b) - ab - v ab  and  2 ab; f below 256 p */
SHARED void fp12_sqr(fp12 *out, const fp12 *f)
{
    const factor *a = f->c, *b = f->c + 3;
    factor sum[3], twisted[3], xi_b2;
    fp2 product[3], ab[3], v_ab[3], t;
    factor_times_xi(&xi_b2, &b[2], P_256);
    factor_add(&twisted[0], &a[0], &xi_b2);
    factor_add(&twisted[1], &a[1], &b[0]);
    factor_add(&twisted[2], &a[2], &b[1]);
    for (int k = 0; k < 3; k++)
        factor_add(&sum[k], &a[k], &b[k]);
    fp6_mul(product, sum, twisted, P_1024);
    fp6_mul(ab, a, b, P_256);
    times_xi(&v_ab[0], &ab[2], P_4);
    v_ab[1] = ab[0];
    v_ab[2] = ab[1];
    for (int k = 0; k < 3; k++) {
        fp2_sub2(&t, &product[k], &ab[k], &v_ab[k], P_16);
        set_factor(&out->c[k], &t);
        fp2_scale(&t, &ab[k], 1);
        set_factor(&out->c[k + 3], &t);
    }
}

/* f = its conjugate, a - b w; below 512 p */
INLINE void fp12_conjugate(fp12 *f)
{
    for (int k = 3; k < 6; k++) {
        fp2 b = {f->c[k].c0, f->c[k].c1};
        fp2_negate(&b, &b, P_512);
        set_factor(&f->c[k], &b);
    }
}

/* A line 1 + (b v + a v^2) w. */
typedef struct { factor a, b, xi_a, xi_b; } line;

/* a and b are below 4 p */
INLINE void set_line(line *out, const fp2 *a, const fp2 *b)
{
    set_factor(&out->a, a);
    set_factor(&out->b, b);
    factor_times_xi(&out->xi_a, &out->a, P_4);
    factor_times_xi(&out->xi_b, &out->b, P_4);
}

/* out = f l; out is not f */
SHARED void fp12_mul_line(fp12 *out, const fp12 *f, const line *l)
{
    const factor *a = f->c, *b = f->c + 3;
    fp2_add_mul2(&out->c[0], &a[0], &b[0], &l->xi_a, &b[1], &l->xi_b);
    fp2_add_mul2(&out->c[1], &a[1], &b[1], &l->xi_a, &b[2], &l->xi_b);
    fp2_add_mul2(&out->c[2], &a[2], &b[2], &l->xi_a, &b[0], &l->b);
    fp2_add_mul2(&out->c[3], &b[0], &a[1], &l->xi_a, &a[2], &l->xi_b);
    fp2_add_mul2(&out->c[4], &b[1], &a[2], &l->xi_a, &a[0], &l->b);
    fp2_add_mul2(&out->c[5], &b[2], &a[0], &l->a, &a[1], &l->b);
}
