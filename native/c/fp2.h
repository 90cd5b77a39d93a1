/* The field Fp2 = Fp[i] / (i^2 + 1): c0 + c1 i. Bounds are those of fp.h, for both parts.
 *
 * Products are Karatsuba's: three of columns and two reductions. The columns of c0 = a0 b0 - a1 b1 are negative at
 * times; p R is added, so that the result is below (a0 b0 p / R + 2.2501) p.
 *
 * Twin in blst: fields.h; the products in asm/mulx_mont_384-x86_64.pl, `mul_mont_384x`.
 */
#pragma once
#include "fp_roots.h"

typedef struct { fp c0, c1; } fp2, fp2_element;

#define fp2_expect(a, most) \
    do { \
        fp_expect(&(a)->c0, most); \
        fp_expect(&(a)->c1, most); \
    } while (0)

/* t += p R, which is 0 for the reduction */
INLINE void add_p_r(lanes t[2 * LIMBS])
{
    EACH_LIMB t[LIMBS + j] = lane_add(t[LIMBS + j], lane_constant(&P_LIMBS[j]));
}

/* t += a R, which is a for the reduction */
INLINE void add_r_times(lanes t[2 * LIMBS], const fp *a)
{
    EACH_LIMB t[LIMBS + j] = lane_add(t[LIMBS + j], a->limb[j]);
}

/* What a product is: a b, 2 a b, or a (b0 - b1 i). */
typedef enum { ONCE, TWICE, CONJUGATE } product_kind;

/* k: of CONJUGATE a multiple of p that is not below b1 */
INLINE void fp2_mul_inline(fp2 *out, const fp2 *a, const fp2 *b, product_kind kind, multiple k)
{
    lanes t[2 * LIMBS], u[2 * LIMBS];
    fp a_sum, b_sum;
#ifdef LANES_CHECKED
    double bound0, bound1;
    if (kind == CONJUGATE) {
        bound0 = REDUCED(a->c0.bound * b->c0.bound + a->c1.bound * b->c1.bound);
        bound1 = REDUCED((a->c0.bound + a->c1.bound) * multiple_of(k) + a->c1.bound * b->c0.bound);
    } else {
        double times = kind == TWICE ? 2 : 1;
        bound0 = REDUCED(times * a->c0.bound * b->c0.bound) + 1;
        bound1 = REDUCED(times * (a->c0.bound * b->c1.bound + a->c1.bound * b->c0.bound));
        CHECK(times * a->c1.bound * b->c1.bound * P_PER_R <= 1);
    }
#endif
    set_product(u, &a->c0, &b->c0);
    fp_add(&a_sum, &a->c0, &a->c1);
    set_product(t, &a->c1, &b->c1);
    if (kind == CONJUGATE)
        fp_sub(&b_sum, &b->c0, &b->c1, k);
    else
        fp_add(&b_sum, &b->c0, &b->c1);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++) {
        lanes first = u[i];
        u[i] = kind == CONJUGATE ? lane_sub(first, t[i]) : lane_add(first, t[i]);
        t[i] = kind == CONJUGATE ? lane_add(first, t[i]) : lane_sub(first, t[i]);
    }
    if (kind == TWICE)
        double_columns(t);
    if (kind != CONJUGATE)
        add_p_r(t);
    reduce(&out->c0, t);
    set_product(t, &a_sum, &b_sum);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = lane_sub(t[i], u[i]);
    if (kind == TWICE)
        double_columns(t);
    reduce(&out->c1, t);
    fp_declare(&out->c0, bound0);
    fp_declare(&out->c1, bound1);
}

/* out = a b, below 2.26 p for operands below 2^14 p */
SHARED void fp2_mul(fp2 *out, const fp2 *a, const fp2 *b) { fp2_mul_inline(out, a, b, ONCE, NULL); }

/* out = 2 a b, below 2.27 p for operands below 2^14 p */
SHARED void fp2_mul_twice(fp2 *out, const fp2 *a, const fp2 *b) { fp2_mul_inline(out, a, b, TWICE, NULL); }

/* out = a (b0 - b1 i), below 1.26 p for a below 2^14 p and b below k */
SHARED void fp2_mul_conjugate(fp2 *out, const fp2 *a, const fp2 *b, multiple k)
{
    fp2_mul_inline(out, a, b, CONJUGATE, k);
}

/* out = a x + b y, by two reductions, below 2.27 p for operands below 2^14 p */
SHARED void fp2_mul2(fp2 *out, const fp2 *a, const fp2 *x, const fp2 *b, const fp2 *y)
{
    lanes t[2 * LIMBS], u[2 * LIMBS];
    fp a_sum, b_sum, x_sum, y_sum;
#ifdef LANES_CHECKED
    double bound0 = REDUCED(a->c0.bound * x->c0.bound + b->c0.bound * y->c0.bound) + 1;
    double bound1 = REDUCED(a->c0.bound * x->c1.bound + a->c1.bound * x->c0.bound + b->c0.bound * y->c1.bound
                            + b->c1.bound * y->c0.bound);
    CHECK((a->c1.bound * x->c1.bound + b->c1.bound * y->c1.bound) * P_PER_R <= 1);
#endif
    set_products(u, (const fp *[]) {&a->c0, &b->c0}, (const fp *[]) {&x->c0, &y->c0}, 2);
    fp_add(&a_sum, &a->c0, &a->c1);
    fp_add(&x_sum, &x->c0, &x->c1);
    set_products(t, (const fp *[]) {&a->c1, &b->c1}, (const fp *[]) {&x->c1, &y->c1}, 2);
    fp_add(&b_sum, &b->c0, &b->c1);
    fp_add(&y_sum, &y->c0, &y->c1);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++) {
        lanes first = u[i];
        u[i] = lane_add(first, t[i]);
        t[i] = lane_sub(first, t[i]);
    }
    add_p_r(t);
    reduce(&out->c0, t);
    set_products(t, (const fp *[]) {&a_sum, &b_sum}, (const fp *[]) {&x_sum, &y_sum}, 2);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = lane_sub(t[i], u[i]);
    reduce(&out->c1, t);
    fp_declare(&out->c0, bound0);
    fp_declare(&out->c1, bound1);
}

/* reduce(out, t), and sum = a + b, difference = a - b + k: a limb of both after each step, while the multipliers work. */
INLINE void reduce_beside_sums(fp *out, lanes t[2 * LIMBS], fp *sum, fp *difference, const fp *a, const fp *b,
                               multiple k)
{
    lanes plus = lane_set(0), minus = lane_set(0);
    UNROLL for (int j = 0; j < LIMBS; j++) {
        plus = lane_add(plus, lane_add(a->limb[j], b->limb[j]));
        minus = lane_add(minus, lane_add(lane_sub(a->limb[j], b->limb[j]), lane_constant(&k[j])));
        if (j == LIMBS - 1)
            break;
        sum->limb[j] = lane_low(plus);
        plus = lane_sar(plus, LIMB_BITS);
        difference->limb[j] = lane_low(minus);
        minus = lane_sar(minus, LIMB_BITS);
        fold(t + j);
    }
    sum->limb[LIMBS - 1] = plus;
    difference->limb[LIMBS - 1] = minus;
    fold_last(t + LIMBS - 1);
#ifdef LANES_CHECKED
    CHECK(b->bound <= multiple_of(k));
#endif
    fp_declare(sum, a->bound + b->bound);
    fp_declare(difference, a->bound + multiple_of(k));
    carry(out, t + LIMBS);
}

/* out = a^2 = (a0 + a1)(a0 - a1) + 2 a0 a1 i, below 1.27 p for operands below 2^12 p */
SHARED void fp2_sqr(fp2 *out, const fp2 *a)
{
    lanes t[2 * LIMBS];
    fp sum, difference;
#ifdef LANES_CHECKED
    double bound1 = REDUCED(2 * a->c0.bound * a->c1.bound);
#endif
    set_product(t, &a->c0, &a->c1);
    double_columns(t);
    reduce_beside_sums(&out->c1, t, &sum, &difference, &a->c0, &a->c1, P_4096);
    fp_declare(&out->c1, bound1);
    fp_mul_inline(&out->c0, &sum, &difference);
}

/* out = 9 a^2 - 8 d, below 34 p for a below 2^12 p and d below 4 p */
SHARED void fp2_sqr_9_sub_8(fp2 *out, const fp2 *a, const fp2 *d)
{
    lanes t[2 * LIMBS];
    fp sum, difference;
#ifdef LANES_CHECKED
    double bound1 = REDUCED(18 * a->c0.bound * a->c1.bound) + 32, bound0;
#endif
    set_product(t, &a->c0, &a->c1);
    double_columns(t);
    take_8_of_9(t, &d->c1);
    reduce_beside_sums(&out->c1, t, &sum, &difference, &a->c0, &a->c1, P_4096);
    fp_declare(&out->c1, bound1);
#ifdef LANES_CHECKED
    bound0 = REDUCED(9 * sum.bound * difference.bound) + 32;
#endif
    set_product(t, &sum, &difference);
    take_8_of_9(t, &d->c0);
    reduce(&out->c0, t);
    fp_declare(&out->c0, bound0);
}

/* out = a0^2 + a1^2, below 1.26 p for operands below 2^14 p */
SHARED void fp2_norm(fp *out, const fp2 *a)
{
    lanes t[2 * LIMBS], u[2 * LIMBS];
    set_square(t, &a->c0);
    set_square(u, &a->c1);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = lane_add(t[i], u[i]);
    reduce(out, t);
    fp_declare(out, REDUCED(a->c0.bound * a->c0.bound + a->c1.bound * a->c1.bound));
}

/* out = a s of s in Fp */
SHARED void fp2_mul_fp(fp2 *out, const fp2 *a, const fp *s)
{
    fp_mul_inline(&out->c0, &a->c0, s);
    fp_mul_inline(&out->c1, &a->c1, s);
}

/* --- sums, of each part as in fp.h --- */

SHARED void fp2_add(fp2 *out, const fp2 *a, const fp2 *b)
{
    fp_add(&out->c0, &a->c0, &b->c0);
    fp_add(&out->c1, &a->c1, &b->c1);
}

SHARED void fp2_sub(fp2 *out, const fp2 *a, const fp2 *b, multiple k)
{
    fp_sub(&out->c0, &a->c0, &b->c0, k);
    fp_sub(&out->c1, &a->c1, &b->c1, k);
}

SHARED void fp2_sub2(fp2 *out, const fp2 *a, const fp2 *b, const fp2 *c, multiple k)
{
    fp_sub2(&out->c0, &a->c0, &b->c0, &c->c0, k);
    fp_sub2(&out->c1, &a->c1, &b->c1, &c->c1, k);
}

/* out = a - b - c below 1.001 p, of which c may be NULL; see fp_sub2_reduced */
SHARED void fp2_sub2_reduced(fp2 *out, const fp2 *a, const fp2 *b, const fp2 *c, multiple k)
{
    fp_sub2_reduced(&out->c0, &a->c0, &b->c0, c ? &c->c0 : NULL, k);
    fp_sub2_reduced(&out->c1, &a->c1, &b->c1, c ? &c->c1 : NULL, k);
}

SHARED void fp2_sub_b_2c(fp2 *out, const fp2 *a, const fp2 *b, const fp2 *c, multiple k)
{
    fp_sub_b_2c(&out->c0, &a->c0, &b->c0, &c->c0, k);
    fp_sub_b_2c(&out->c1, &a->c1, &b->c1, &c->c1, k);
}

INLINE void fp2_sub_near(fp2 *out, const fp2 *a, const fp2 *b, const fp2 *c)
{
    fp_sub_near(&out->c0, &a->c0, &b->c0, c ? &c->c0 : NULL);
    fp_sub_near(&out->c1, &a->c1, &b->c1, c ? &c->c1 : NULL);
}

SHARED void fp2_scale(fp2 *out, const fp2 *a, unsigned s)
{
    fp_scale(&out->c0, &a->c0, s);
    fp_scale(&out->c1, &a->c1, s);
}

SHARED void fp2_12a_3b(fp2 *out, const fp2 *a, const fp2 *b)
{
    fp_12a_3b(&out->c0, &a->c0, &b->c0);
    fp_12a_3b(&out->c1, &a->c1, &b->c1);
}

SHARED void fp2_triple(fp2 *out, const fp2 *a)
{
    fp_triple(&out->c0, &a->c0);
    fp_triple(&out->c1, &a->c1);
}

SHARED void fp2_negate(fp2 *out, const fp2 *a, multiple k)
{
    fp_negate(&out->c0, &a->c0, k);
    fp_negate(&out->c1, &a->c1, k);
}

SHARED void fp2_negate_scaled(fp2 *out, const fp2 *a, unsigned s, multiple k)
{
    fp_negate_scaled(&out->c0, &a->c0, s, k);
    fp_negate_scaled(&out->c1, &a->c1, s, k);
}

SHARED void fp2_negate_some(fp2 *out, lane_mask m, const fp2 *a, multiple k)
{
    fp_negate_some(&out->c0, m, &a->c0, k);
    fp_negate_some(&out->c1, m, &a->c1, k);
}

/* out = a0 - a1 i */
INLINE void fp2_conjugate(fp2 *out, const fp2 *a, multiple k)
{
    out->c0 = a->c0;
    fp_negate(&out->c1, &a->c1, k);
}

/* --- constants, choices, comparisons, memory --- */

INLINE void fp2_set(fp2 *out, const uint64_t limbs[2 * LIMBS])
{
    fp_set(&out->c0, limbs);
    fp_set(&out->c1, limbs + LIMBS);
}

INLINE void fp2_clear(fp2 *out)
{
    fp_clear(&out->c0);
    fp_clear(&out->c1);
}

INLINE void fp2_set_one(fp2 *out)
{
    fp_set(&out->c0, ONE);
    fp_clear(&out->c1);
}

INLINE void fp_set_one(fp *out) { fp_set(out, ONE); }

INLINE void fp2_select(fp2 *out, lane_mask m, const fp2 *a, const fp2 *b)
{
    fp_select(&out->c0, m, &a->c0, &b->c0);
    fp_select(&out->c1, m, &a->c1, &b->c1);
}

INLINE lane_mask fp2_is_zero(const fp2 *a) { return fp_is_zero(&a->c0) & fp_is_zero(&a->c1); }

/* Whether a = b; b below 512 p. */
INLINE lane_mask fp2_equal(const fp2 *a, const fp2 *b)
{
    return fp_equal(&a->c0, &b->c0) & fp_equal(&a->c1, &b->c1);
}

INLINE void fp2_load(fp2 *out, const void *base, lanes offsets)
{
    fp_load(&out->c0, base, offsets);
    fp_load(&out->c1, (const char *) base + 48, offsets);
}

INLINE void fp2_store(void *base, lanes offsets, const fp2 *a)
{
    fp_store(base, offsets, &a->c0);
    fp_store((char *) base + 48, offsets, &a->c1);
}

INLINE void fp2_load_rows(fp2 *out, const uint64_t *const rows[LANES], size_t at)
{
    fp_load_rows(&out->c0, rows, at);
    fp_load_rows(&out->c1, rows, at + LIMBS);
}

INLINE void fp2_store_rows(uint64_t *const rows[LANES], size_t at, const fp2 *a)
{
    fp_store_rows(rows, at, &a->c0);
    fp_store_rows(rows, at + LIMBS, &a->c1);
}

/* --- inversion: 1 / a = (a0 - a1 i) / norm, norm = a0^2 + a1^2 in Fp --- */

/* out = 1 / a of the inverse of its norm */
SHARED void fp2_invert_by_norm(fp2 *out, const fp2 *a, const fp *inverse)
{
    fp_mul_inline(&out->c0, &a->c0, inverse);
    fp_mul_inline(&out->c1, &a->c1, inverse);
    fp_negate(&out->c1, &out->c1, P_4);
}

/* out = a / b of the inverse of b's norm; b below 8 p */
INLINE void fp2_divide_by_norm(fp2 *out, const fp2 *a, const fp2 *b, const fp *inverse)
{
    fp2 numerator;
    fp2_mul_conjugate(&numerator, a, b, P_8);
    fp2_mul_fp(out, &numerator, inverse);
}

/* Norm and inverse for Fp, where an element is its own norm. */
INLINE void fp_norm(fp *out, const fp *a) { *out = *a; }

INLINE void fp_invert_by_norm(fp *out, const fp *a, const fp *inverse)
{
    (void) a;
    *out = *inverse;
}
