/* The field Fp, eight elements at a time: 8 limbs of 52 bits, Montgomery form with R = 2^416.
 *
 * p has 381 bits, so 35 bits are spare: elements are not reduced to [0, p). Each function says how large its
 * result can be as a multiple of p, its bound; the checked build keeps the bound with each element, derives
 * it from operation to operation, and ends the process where a documented one does not hold.
 *
 *   limbs      0 <= limb < 2^52, after every function of this file
 *   product    a b R^-1 mod p,  below (a b p / R + 1.2501) p  for operands below a p and b p
 *   a - b      is a - b + 2^k p, and b must be below 2^k p: P_4, P_8, ...
 *
 * Reduction of the 16 columns t[0 .. 15] of a product T: with FOLD = 2^-52 mod p < 0.2501 p,
 * seven times  t[0] 2^0 + ...  becomes  t[0] FOLD 2^52 + ..., which leaves column 0 out;
 * the eighth time m = -t[0] / p mod 2^52 is added m p, as Montgomery did. Columns are signed: only T must
 * not be negative.
 *
 * Twin in blst: fields.h; the products in asm/mulx_mont_384-x86_64.pl, `mul_mont_384`.
 */
#pragma once
#include "constants.h"
#include "lanes.h"

#ifdef LANES_CHECKED
#define BOUND double bound;
#else
#define BOUND
#endif

typedef struct { lanes limb[LIMBS]; BOUND } fp, fp_element;

/* 2^k p, to keep a difference from being negative. */
typedef const uint64_t *multiple;
#define P_4 P_TIMES[2]
#define P_8 P_TIMES[3]
#define P_16 P_TIMES[4]
#define P_32 P_TIMES[5]
#define P_64 P_TIMES[6]
#define P_128 P_TIMES[7]
#define P_256 P_TIMES[8]
#define P_512 P_TIMES[9]
#define P_1024 P_TIMES[10]
#define P_4096 P_TIMES[12]

#define REDUCED(product) ((product) * P_PER_R + 1.2501)

#ifdef LANES_CHECKED
/* The top limbs of p, and of any element, as a number of 2^312. */
#define TOP_OF(limb7, limb6) ((double) (limb7) * (double) (1ull << LIMB_BITS) + (double) (limb6))

/* Every lane of a is below bound p, and normalised. */
static void fp_declare(fp *a, double bound)
{
    EACH_LANE {
        for (int j = 0; j < LIMBS; j++)
            CHECK(a->limb[j].word[lane] <= LIMB_MASK);
        CHECK(TOP_OF(a->limb[7].word[lane], a->limb[6].word[lane])
              <= bound * 1.000001 * TOP_OF(P_LIMBS[7], P_LIMBS[6]) + 1);
    }
    a->bound = bound;
}

static double multiple_of(multiple k) { return (double) (1u << ((k - P_TIMES[0]) / LIMBS)); }

#define fp_expect(a, most) CHECK((a)->bound <= (most))
#else
#define fp_declare(a, bound) ((void) 0)
#define fp_expect(a, most) ((void) 0)
#endif

/* a, hidden from the compiler: limbs are loaded again, as there are too few registers to keep them. */
INLINE const fp *reloaded(const fp *a)
{
    __asm__("" : "+r"(a));
    return a;
}

/* --- columns --- */

/* Signed columns, whose sum is not negative and below 2^416, to limbs. */
INLINE void carry(fp *out, const lanes t[LIMBS])
{
    lanes sum = t[0];
    UNROLL for (int j = 0; j < LIMBS - 1; j++) {
        out->limb[j] = lane_low(sum);
        sum = lane_add(t[j + 1], lane_sar(sum, LIMB_BITS));
    }
    out->limb[LIMBS - 1] = sum;
}

/* t[2 i + 1 .. i + 8] += limb i of a times those above it */
INLINE void add_half_row(lanes *t, const fp *a, int i)
{
    UNROLL for (int j = i + 1; j < LIMBS; j++)
        t[i + j] = lane_madd_lo(t[i + j], a->limb[i], a->limb[j]);
    UNROLL for (int j = i + 1; j < LIMBS; j++)
        t[i + j + 1] = lane_madd_hi(t[i + j + 1], a->limb[i], a->limb[j]);
}

/* The limbs times themselves, which `add_half_row` leaves out. */
INLINE void add_diagonal(lanes *t, const fp *a)
{
    EACH_LIMB {
        t[2 * j] = lane_madd_lo(t[2 * j], a->limb[j], a->limb[j]);
        t[2 * j + 1] = lane_madd_hi(t[2 * j + 1], a->limb[j], a->limb[j]);
    }
}

INLINE void clear(lanes *t, int n)
{
    UNROLL for (int i = 0; i < n; i++)
        t[i] = lane_set(0);
}

#define HALF (LIMBS / 2)

/* t[0 .. 7] += a b, of four limbs each */
INLINE void add_half_product(lanes *t, const lanes *a, const lanes *b)
{
    UNROLL for (int i = 0; i < HALF; i++) {
        UNROLL for (int j = 0; j < HALF; j++)
            t[i + j] = lane_madd_lo(t[i + j], a[i], b[j]);
        UNROLL for (int j = 0; j < HALF; j++)
            t[i + j + 1] = lane_madd_hi(t[i + j + 1], a[i], b[j]);
    }
}

/* Products are Karatsuba's: with B = 2^208 and the halves a0 + a1 B, b0 + b1 B
 *
 *     a0 b0 + ((a0 + a1)(b0 + b1) - a0 b0 - a1 b1) B + a1 b1 B^2
 */
INLINE void add_low(lanes t[LIMBS], const fp *a, const fp *b) { add_half_product(t, a->limb, b->limb); }

INLINE void add_high(lanes t[LIMBS], const fp *a, const fp *b)
{
    add_half_product(t, a->limb + HALF, b->limb + HALF);
}

/* low + high of the halves of an element: four limbs, and 2^208 more where `above` is -1, elsewhere 0. It is no mask
 * register's: instructions that make or read those take a multiplier's turn. */
typedef struct { lanes limb[HALF], above; } half_sum;

INLINE void sum_halves(half_sum *out, const fp *a)
{
    lanes sum = lane_add(a->limb[0], a->limb[HALF]);
    UNROLL for (int j = 0; j < HALF - 1; j++) {
        out->limb[j] = lane_low(sum);
        sum = lane_add(lane_add(a->limb[j + 1], a->limb[j + 1 + HALF]), lane_shr(sum, LIMB_BITS));
    }
    out->limb[HALF - 1] = lane_low(sum);
    out->above = lane_sub(lane_set(0), lane_shr(sum, LIMB_BITS));
}

/* t[0 .. 8] += x y */
INLINE void add_middle(lanes t[LIMBS + 1], const half_sum *x, const half_sum *y)
{
    add_half_product(t, x->limb, y->limb);
    UNROLL for (int j = 0; j < HALF; j++) {
        t[HALF + j] = lane_add(t[HALF + j], lane_and(x->above, y->limb[j]));
        t[HALF + j] = lane_add(t[HALF + j], lane_and(y->above, x->limb[j]));
    }
    t[LIMBS] = lane_sub(t[LIMBS], lane_and(x->above, y->above));
}

/* t = a b */
INLINE void set_product(lanes t[2 * LIMBS], const fp *a, const fp *b)
{
    half_sum x, y;
    clear(t, 2 * LIMBS);
    add_low(t, a, b);
    add_high(t + LIMBS, a, b);
    sum_halves(&x, a);
    sum_halves(&y, b);
    UNROLL for (int j = 0; j < HALF; j++) {
        lanes between = lane_sub(t[HALF + j], t[LIMBS + j]);
        t[HALF + j] = lane_sub(between, t[j]);
        t[LIMBS + j] = lane_sub(lane_sub(lane_set(0), between), t[LIMBS + HALF + j]);
    }
    add_middle(t + HALF, &x, &y);
}

/* t = sum of a[k] b[k], k < n. Each product of halves is one chain of sums, so two of them go side by side. */
INLINE void set_products(lanes t[2 * LIMBS], const fp *const *a, const fp *const *b, int n)
{
    lanes high[LIMBS];
    clear(t, 2 * LIMBS);
    clear(high, LIMBS);
    UNROLL for (int k = 0; k < n; k++)
        add_low(t, a[k], b[k]);
    UNROLL for (int j = 0; j < HALF; j++) {
        t[LIMBS + j] = lane_sub(lane_set(0), t[HALF + j]);
        t[HALF + j] = lane_sub(t[HALF + j], t[j]);
    }
    UNROLL for (int k = 0; k < n; k++) {
        half_sum x, y;
        sum_halves(&x, reloaded(a[k]));
        sum_halves(&y, reloaded(b[k]));
        add_middle(t + HALF, &x, &y);
        add_high(high, reloaded(a[k]), reloaded(b[k]));
    }
    UNROLL for (int j = 0; j < HALF; j++) {
        t[HALF + j] = lane_sub(t[HALF + j], high[j]);
        t[LIMBS + j] = lane_add(t[LIMBS + j], lane_sub(high[j], high[HALF + j]));
        t[LIMBS + HALF + j] = lane_add(t[LIMBS + HALF + j], high[HALF + j]);
    }
}

INLINE void set_square(lanes t[2 * LIMBS], const fp *a)
{
    clear(t, 2 * LIMBS);
    UNROLL for (int i = 0; i < LIMBS - 1; i++)
        add_half_row(t, a, i);
    UNROLL for (int i = 1; i < 2 * LIMBS; i++)
        t[i] = lane_add(t[i], t[i]);
    add_diagonal(t, a);
}

/* Takes column t[0] away: its lowest 52 bits are folded into t[1 .. 9], the rest is carried. */
INLINE void fold(lanes *t)
{
    t[1] = lane_add(t[1], lane_sar(t[0], LIMB_BITS));
    EACH_LIMB t[j + 1] = lane_fold_lo(t[j + 1], t[0], lane_constant(&FOLD[j]));
    EACH_LIMB t[j + 2] = lane_fold_hi(t[j + 2], t[0], lane_constant(&FOLD[j]));
}

/* The same by Montgomery's step, which does not reach above t[8]. */
INLINE void fold_last(lanes *t)
{
    lanes m = lane_low(lane_fold_lo(lane_set(0), t[0], lane_set(P_INVERSE)));
    EACH_LIMB t[j] = lane_madd_lo(t[j], m, lane_constant(&P_LIMBS[j]));
    EACH_LIMB t[j + 1] = lane_madd_hi(t[j + 1], m, lane_constant(&P_LIMBS[j]));
    t[1] = lane_add(t[1], lane_sar(t[0], LIMB_BITS));
}

INLINE void reduce(fp *out, lanes t[2 * LIMBS])
{
    UNROLL for (int i = 0; i < LIMBS - 1; i++)
        fold(t + i);
    fold_last(t + LIMBS - 1);
    carry(out, t + LIMBS);
}

/* --- products --- */

/* out = a b, below 1.26 p for operands below 2^14 p */
INLINE void fp_mul_inline(fp *out, const fp *a, const fp *b)
{
    lanes t[2 * LIMBS];
    set_product(t, a, b);
    reduce(out, t);
    fp_declare(out, REDUCED(a->bound * b->bound));
}

SHARED void fp_mul(fp *out, const fp *a, const fp *b) { fp_mul_inline(out, a, b); }

/* out = a^2; as fp_mul */
SHARED void fp_sqr(fp *out, const fp *a)
{
    lanes t[2 * LIMBS];
    set_square(t, a);
    reduce(out, t);
    fp_declare(out, REDUCED(a->bound * a->bound));
}

/* t = 2 t */
INLINE void double_columns(lanes t[2 * LIMBS])
{
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = lane_add(t[i], t[i]);
}

/* t = 9 t + (32 p - 8 d) R, which is 9 t - 8 d for the reduction; d below 4 p */
INLINE void take_8_of_9(lanes t[2 * LIMBS], const fp *d)
{
    fp_expect(d, 4);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = lane_add(lane_scale(t[i], 3), t[i]);
    EACH_LIMB t[LIMBS + j] = lane_add(t[LIMBS + j], lane_sub(lane_constant(&P_32[j]), lane_scale(d->limb[j], 3)));
}

/* out = 9 a^2 - 8 d, below 34 p for a below 2^12 p and d below 4 p */
INLINE void fp_sqr_9_sub_8(fp *out, const fp *a, const fp *d)
{
    lanes t[2 * LIMBS];
    set_square(t, a);
    take_8_of_9(t, d);
    reduce(out, t);
    fp_declare(out, REDUCED(9 * a->bound * a->bound) + 32);
}

/* out = 2 a b, below 1.27 p for operands below 2^14 p */
INLINE void fp_mul_twice(fp *out, const fp *a, const fp *b)
{
    lanes t[2 * LIMBS];
    set_product(t, a, b);
    double_columns(t);
    reduce(out, t);
    fp_declare(out, REDUCED(2 * a->bound * b->bound));
}

/* out = a x + b y, by one reduction */
SHARED void fp_mul2(fp *out, const fp *a, const fp *x, const fp *b, const fp *y)
{
    lanes t[2 * LIMBS];
#ifdef LANES_CHECKED
    double bound = REDUCED(a->bound * x->bound + b->bound * y->bound);
#endif
    set_products(t, (const fp *[]) {a, b}, (const fp *[]) {x, y}, 2);
    reduce(out, t);
    fp_declare(out, bound);
}

/* As fp2_mul_fp. */
INLINE void fp_mul_fp(fp *out, const fp *a, const fp *s) { fp_mul(out, a, s); }

/* --- sums; bounds add up --- */

/* out = a - b - 2^s c + k; what is subtracted must be below k. c may be NULL. */
INLINE void fp_linear(fp *out, const fp *a, const fp *b, const fp *c, unsigned s, multiple k)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    double minus = b->bound + (c ? c->bound * (1u << s) : 0);
    double bound = a->bound + multiple_of(k);
    CHECK(minus <= multiple_of(k));
#endif
    EACH_LIMB {
        lanes x = lane_sub(a->limb[j], b->limb[j]);
        if (c)
            x = lane_sub(x, lane_scale(c->limb[j], s));
        t[j] = lane_add(x, lane_constant(&k[j]));
    }
    carry(out, t);
    fp_declare(out, bound);
}

/* Just below 2^52 / (p / 2^364), of the highest limb of p. */
#define TOP_RECIPROCAL ((1ull << LIMB_BITS) / (P_LIMBS[LIMBS - 1] + 1))

/* out = a - b - c, below 1.001 p; b + c + p is below k, and a + k below 64 p. c may be NULL.
 *
 * Multiples of p are taken away, as many as the two highest columns show: the others are worth less than 2^367, so
 * there is at most one too few, and never one too many.
 */
INLINE void fp_sub2_reduced(fp *out, const fp *a, const fp *b, const fp *c, multiple k)
{
    lanes t[LIMBS], multiples[LIMBS + 1];
#ifdef LANES_CHECKED
    CHECK(b->bound + (c ? c->bound : 0) + 1 <= multiple_of(k));
    CHECK(a->bound + multiple_of(k) <= 64);
#endif
    EACH_LIMB {
        t[j] = lane_sub(lane_add(a->limb[j], lane_constant(&k[j])), b->limb[j]);
        if (c)
            t[j] = lane_sub(t[j], c->limb[j]);
    }
    lanes top = lane_add(t[LIMBS - 1], lane_sar(t[LIMBS - 2], LIMB_BITS));
    lanes times = lane_madd_hi(lane_set(0), top, lane_set(TOP_RECIPROCAL));
    clear(multiples, LIMBS + 1);
    EACH_LIMB multiples[j] = lane_madd_lo(multiples[j], times, lane_constant(&P_LIMBS[j]));
    EACH_LIMB multiples[j + 1] = lane_madd_hi(multiples[j + 1], times, lane_constant(&P_LIMBS[j]));
    EACH_LIMB t[j] = lane_sub(t[j], multiples[j]);
    carry(out, t);
    fp_declare(out, 1.001);
}

/* out = a + b */
INLINE void fp_add(fp *out, const fp *a, const fp *b)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    double bound = a->bound + b->bound;
#endif
    EACH_LIMB t[j] = lane_add(a->limb[j], b->limb[j]);
    carry(out, t);
    fp_declare(out, bound);
}

/* out = 2^s a */
INLINE void fp_scale(fp *out, const fp *a, unsigned s)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    double bound = a->bound * (1u << s);
#endif
    EACH_LIMB t[j] = lane_scale(a->limb[j], s);
    carry(out, t);
    fp_declare(out, bound);
}

/* out = 3 a */
INLINE void fp_triple(fp *out, const fp *a)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    double bound = a->bound * 3;
#endif
    EACH_LIMB t[j] = lane_add(lane_scale(a->limb[j], 1), a->limb[j]);
    carry(out, t);
    fp_declare(out, bound);
}

/* out = 12 a - 3 b of a below 4 p and b below 40 p; below 176 p */
INLINE void fp_12a_3b(fp *out, const fp *a, const fp *b)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    double bound = 12 * a->bound + multiple_of(P_128);
    CHECK(3 * b->bound <= multiple_of(P_128));
#endif
    EACH_LIMB {
        lanes x = lane_sub(lane_scale(a->limb[j], 2), b->limb[j]);
        t[j] = lane_add(lane_add(lane_scale(x, 1), x), lane_constant(&P_128[j]));
    }
    carry(out, t);
    fp_declare(out, bound);
}

/* out = -2^s a + k */
INLINE void fp_negate_scaled(fp *out, const fp *a, unsigned s, multiple k)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    double bound = multiple_of(k);
    CHECK(a->bound * (1u << s) <= bound);
#endif
    EACH_LIMB t[j] = lane_sub(lane_constant(&k[j]), lane_scale(a->limb[j], s));
    carry(out, t);
    fp_declare(out, bound);
}

/* out = -a + k */
INLINE void fp_negate(fp *out, const fp *a, multiple k) { fp_negate_scaled(out, a, 0, k); }

/* out = -a + k where m, else a */
INLINE void fp_negate_some(fp *out, lane_mask m, const fp *a, multiple k)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    double bound = multiple_of(k);
    CHECK(a->bound <= bound);
#endif
    EACH_LIMB t[j] = lane_select(m, a->limb[j], lane_sub(lane_set(k[j]), a->limb[j]));
    carry(out, t);
    fp_declare(out, bound);
}

/* a - b, a - b - c, a - b - 2 c; each + k */
INLINE void fp_sub(fp *out, const fp *a, const fp *b, multiple k)
{
    fp_linear(out, a, b, NULL, 0, k);
}
INLINE void fp_sub2(fp *out, const fp *a, const fp *b, const fp *c, multiple k)
{
    fp_linear(out, a, b, c, 0, k);
}
INLINE void fp_sub_b_2c(fp *out, const fp *a, const fp *b, const fp *c, multiple k)
{
    fp_linear(out, a, b, c, 1, k);
}

/* out = a - b - c + m p, of some m in each lane so that it is below 4.01 p; a below 4 p. c may be NULL.
 *
 * With n = 4 p / 2^364 + 2 less the top of the difference, which is its limb 7 and the carry of limb 6, m is
 * n 2^364 / p rounded down. The difference is above (4 p / 2^364 - n) 2^364 and m p above n 2^364 - p: 3 p remain.
 */
INLINE void fp_sub_near(fp *out, const fp *a, const fp *b, const fp *c)
{
    lanes t[LIMBS];
#ifdef LANES_CHECKED
    CHECK(a->bound <= 4 && b->bound + (c ? c->bound : 0) <= 512);
#endif
    EACH_LIMB {
        t[j] = lane_sub(a->limb[j], b->limb[j]);
        if (c)
            t[j] = lane_sub(t[j], c->limb[j]);
    }
    lanes top = lane_add(t[LIMBS - 1], lane_sar(t[LIMBS - 2], LIMB_BITS));
    lanes n = lane_sub(lane_set(P_4[LIMBS - 1] + 2), top);
    lanes m = lane_madd_hi(lane_set(0), n, lane_set(R_PER_P));
    EACH_LIMB t[j] = lane_madd_lo(t[j], m, lane_set(P_LIMBS[j]));
    UNROLL for (int j = 0; j < LIMBS - 1; j++)
        t[j + 1] = lane_madd_hi(t[j + 1], m, lane_set(P_LIMBS[j]));
    carry(out, t);
    fp_declare(out, 4.01);
}

/* --- constants, choices, comparisons --- */

INLINE void fp_set(fp *out, const uint64_t limbs[LIMBS])
{
    EACH_LIMB out->limb[j] = lane_set(limbs[j]);
    fp_declare(out, 1);
}

INLINE void fp_clear(fp *out)
{
    EACH_LIMB out->limb[j] = lane_set(0);
    fp_declare(out, 0);
}

/* out = b where m, else a */
INLINE void fp_select(fp *out, lane_mask m, const fp *a, const fp *b)
{
#ifdef LANES_CHECKED
    double bound = a->bound > b->bound ? a->bound : b->bound;
#endif
    EACH_LIMB out->limb[j] = lane_select(m, a->limb[j], b->limb[j]);
    fp_declare(out, bound);
}

/* Subtracts p where the value, which is below 2 p, is not below p. */
INLINE void subtract_p_once(fp *a)
{
    lanes t[LIMBS];
    fp less;
    fp_expect(a, 2);
    EACH_LIMB t[j] = lane_sub(a->limb[j], lane_constant(&P_LIMBS[j]));
    carry(&less, t);
    lane_mask below = lane_negative(less.limb[LIMBS - 1]);
    EACH_LIMB a->limb[j] = lane_select(below, less.limb[j], a->limb[j]);
    fp_declare(a, 1);
}

/* out = the value itself, out of Montgomery form, in [0, p) */
SHARED void fp_canonical(fp *out, const fp *a)
{
    lanes t[2 * LIMBS];
    EACH_LIMB {
        t[j] = a->limb[j];
        t[LIMBS + j] = lane_set(0);
    }
    reduce(out, t);
    fp_declare(out, REDUCED(a->bound));
    subtract_p_once(out);
}

/* Whether a canonical value is 0. */
INLINE lane_mask all_zero(const fp *a)
{
    lanes any = a->limb[0];
    UNROLL for (int j = 1; j < LIMBS; j++)
        any = lane_or(any, a->limb[j]);
    return lane_is_zero(any);
}

SHARED lane_mask fp_is_zero(const fp *a)
{
    fp value;
    fp_canonical(&value, a);
    return all_zero(&value);
}

/* Whether a = b; b below 512 p. */
SHARED lane_mask fp_equal(const fp *a, const fp *b)
{
    fp difference;
    fp_sub(&difference, a, b, P_512);
    return fp_is_zero(&difference);
}

/* Whether a canonical value is above a number of p's size. */
INLINE lane_mask is_above(const fp *a, const uint64_t limbs[LIMBS])
{
    lanes t[LIMBS];
    fp difference;
    EACH_LIMB t[j] = lane_sub(lane_set(limbs[j]), a->limb[j]);
    carry(&difference, t);
    return lane_negative(difference.limb[LIMBS - 1]);
}

/* out = a / 2; below a / 2 + p / 2 */
INLINE void fp_halve(fp *out, const fp *a)
{
    lanes t[LIMBS];
    lanes odd = lane_sub(lane_set(0), lane_and(a->limb[0], lane_set(1)));
#ifdef LANES_CHECKED
    double bound = (a->bound + 1) / 2;
#endif
    EACH_LIMB t[j] = lane_add(a->limb[j], lane_and(odd, lane_constant(&P_LIMBS[j])));
    carry(out, t);
    UNROLL for (int j = 0; j < LIMBS - 1; j++)
        out->limb[j] = lane_or(lane_shr(out->limb[j], 1), lane_low(lane_shl(out->limb[j + 1], LIMB_BITS - 1)));
    out->limb[LIMBS - 1] = lane_shr(out->limb[LIMBS - 1], 1);
    fp_declare(out, bound);
}
