/* The weighted sum of many points of the curve of G2, and whether all are in G2; in the end that of points of G1's curve,
 * which need not be in G1. A lane has a window of the weights, not a point.
 *
 * A word is 8 bytes, and each less 136 is a digit of -136 .. 119: of a the lower four, of b the upper four. In window w
 *
 *   B_d = the sum of points of digit d, less that of points of digit -d, for d = 1 .. 136
 *   sum of digit_i S_i = sum of d B_d = F_1 + 7 F_2 + 49 F_3
 *   F_k = the sum of c_k(d) B_d, where c_1 .. c_3 of -3 .. 3 are the digits of d to the base 7
 *
 * Membership: if some S_i is not in G2, with the other words whatever they are, then all 24 sums F_k are in G2 for
 * at most one word of i. For in the curve's group modulo G2, whose order is that of the cofactor, S_i has an order of 13
 * at least, the cofactor's smallest prime; so c S_i is different for the c of -3 .. 3, a sum in G2 leaves
 * one c_k, and three of them one digit of each window. With random words of 64 bits all sums are in G2 with probability
 * 2^-64 at most: what a batch check is wrong by anyway.
 *
 * Twin in blst: multi_scalar.c, Pippenger's sums.
 */
#pragma once
#include "rows.h"
#include "weights.h"

#define DIGITS 8
#define DIGIT_BITS 8
#define BLOCK 128                 /* points that wait for their buckets together */
#define TOGETHER 32               /* additions of a lane that share an inversion, at most ROUND */
#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#define FIELD_BYTES 96
#define DIGIT_BIAS 136
#define BUCKETS (DIGIT_BIAS + 1)
#include "fill_buckets.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES

/* --- from buckets to sums --- */

#define BASE 7
#define LARGEST_DIGIT 3
#define FUNCTIONS 3
#define QUOTIENTS 19  /* of 1 .. 136 by 7, rounded to the nearest */

/* Sums of terms B_d by the last digit of d to the base 7, and by the quotient; B_d with a negative digit counts there
 * as -B_d with a positive one.
 */
typedef struct { g2_total digit[LARGEST_DIGIT], quotient[QUOTIENTS]; } divided;

static void clear_divided(divided *sums)
{
    for (int i = 0; i < LARGEST_DIGIT; i++)
        g2_clear_total(&sums->digit[i]);
    for (int i = 0; i < QUOTIENTS; i++)
        g2_clear_total(&sums->quotient[i]);
}

static int quotient_of(int d) { return (d + LARGEST_DIGIT) / BASE; }
static int digit_of(int d) { return d - BASE * quotient_of(d); }

static void divide_bucket(divided *sums, const g2_affine *term, lane_mask present, int d)
{
    int quotient = quotient_of(d), digit = digit_of(d);
    g2_affine own = *term;
    if (digit < 0)
        g2_negate_y(&own.y, 0xff, &own.y);
    if (digit)
        g2_add_term(&sums->digit[(digit < 0 ? -digit : digit) - 1], &own, present);
    if (quotient)
        g2_add_term(&sums->quotient[quotient - 1], term, present);
}

static void divide_total(divided *sums, const g2_total *term, int d)
{
    int quotient = quotient_of(d), digit = digit_of(d);
    g2_total own = *term;
    if (digit < 0)
        g2_negate_y(&own.sum.Y, 0xff, &own.sum.Y);
    if (digit)
        g2_add_total(&sums->digit[(digit < 0 ? -digit : digit) - 1], &own);
    if (quotient)
        g2_add_total(&sums->quotient[quotient - 1], term);
}

/* out = T_1 + 2 T_2 + 3 T_3 = T_1 + T_3 + 2 (T_2 + T_3) */
static void sum_of_digits(g2_total *out, const g2_total T[LARGEST_DIGIT])
{
    g2_total twice = T[1];
    g2_add_total(&twice, &T[2]);
    g2_double(&twice.sum, &twice.sum);
    *out = T[0];
    g2_add_total(out, &T[2]);
    g2_add_total(out, &twice);
}

/* F_1 .. F_3 from the buckets; room: two of it */
static void sums_of_buckets(g2_total F[FUNCTIONS], const g2_bucket_room *r, divided *room)
{
    clear_divided(&room[0]);
    clear_divided(&room[1]);
    for (int d = 1; d < BUCKETS; d++) {
        g2_affine term;
        lane_mask present = g2_load_bucket(&term, r, d);
        if (present)
            divide_bucket(&room[0], &term, present, d);
    }
    for (int d = 1; d <= QUOTIENTS; d++)
        divide_total(&room[1], &room[0].quotient[d - 1], d);
    sum_of_digits(&F[0], room[0].digit);
    sum_of_digits(&F[1], room[1].digit);
    sum_of_digits(&F[2], room[1].quotient);
}

/* Whether all sums are in G2. Where Z = 0 and the sum is not empty the answer is no. */
static int sums_in_group(const g2_total F[FUNCTIONS])
{
    g2_jacobian sums[FUNCTIONS];
    g2_affine affine[FUNCTIONS];
    lane_mask zero[FUNCTIONS];
    int fine = 1;
    for (int k = 0; k < FUNCTIONS; k++)
        sums[k] = F[k].sum;
    g2_to_affine(affine, sums, zero, FUNCTIONS);
    for (int k = 0; k < FUNCTIONS; k++) {
        lane_mask in_group = g2_in_group(&affine[k]) & (lane_mask) ~zero[k];
        fine &= (in_group | F[k].empty) == 0xff;
    }
    return fine;
}

/* a += 7 b */
static void add_seven_times(g2_total *a, const g2_total *b)
{
    g2_total seven = *b, minus = *b;
    for (int i = 0; i < 3; i++)
        g2_double(&seven.sum, &seven.sum);
    g2_negate_y(&minus.sum.Y, 0xff, &minus.sum.Y);
    g2_add_total(&seven, &minus);
    g2_add_total(a, &seven);
}

/* out = in lane w the sum of window w, times 2^(8 (w mod 4)) and, of an upper half, times x^2, as it is in G2 */
static void join_windows(g2_total *out, const g2_total F[FUNCTIONS])
{
    g2_jacobian other;
    fp2 x, minus;
    fp factor;
    g2_total middle = F[1];
    add_seven_times(&middle, &F[2]);
    *out = F[0];
    add_seven_times(out, &middle);
    for (int i = 0; i < DIGIT_BITS * (DIGITS / 2 - 1); i++) {
        lane_mask higher = (lane_mask) (0xf << (i / DIGIT_BITS + 1) & 0xf);
        g2_double(&other, &out->sum);
        g2_select(&out->sum, (lane_mask) (higher | higher << 4), &out->sum, &other);
    }
    fp_set(&factor, PSI_SQUARED_X);
    fp2_mul_fp(&x, &out->sum.X, &factor);
    fp2_negate(&minus, &out->sum.Y, P_64);
    fp2_select(&out->sum.X, 0xf0, &out->sum.X, &x);
    fp2_select(&out->sum.Y, 0xf0, &out->sum.Y, &minus);
}

#undef DIGIT_BIAS
#undef BUCKETS
#undef BLOCK
#undef TOGETHER

/* --- G1 --- */

#define BLOCK 1024
#define TOGETHER ROUND
#define FIELD(name) fp_##name
#define CURVE(name) g1_##name
#define FIELD_BYTES 48
#define DIGIT_BIAS LANES_DIGIT_BIAS
#define BUCKETS (DIGIT_BIAS + 1)
#include "fill_buckets.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES
#undef DIGIT_BIAS
#undef BUCKETS
#undef BLOCK
#undef TOGETHER

#define LOW_VALUES 16
#define HIGH_VALUES (LANES_DIGIT_BIAS / LOW_VALUES + 1)

/* Sums of the buckets by the lower and by the upper part of their digit. */
typedef struct { g1_total low[LOW_VALUES], high[HIGH_VALUES]; } divided_by_16;

/* out = sum of i T_i over i = 1 .. n - 1. An exception where the first that is not empty has an empty one below. */
static void sum_by_value(g1_total *out, const g1_total *T, int n)
{
    g1_total above = T[n - 1];
    *out = above;
    for (int i = n - 2; i > 0; i--) {
        g1_add_total(&above, &T[i]);
        g1_add_total(out, &above);
    }
}

/* out = in lane w the sum of window w: sum of d B_d = sum of l L_l + 16 sum of h H_h, with d = l + 16 h */
static void sum_of_buckets(g1_total *out, const g1_bucket_room *r, divided_by_16 *room)
{
    g1_total high;
    for (int i = 0; i < LOW_VALUES; i++)
        g1_clear_total(&room->low[i]);
    for (int i = 0; i < HIGH_VALUES; i++)
        g1_clear_total(&room->high[i]);
    for (int d = 1; d <= LANES_DIGIT_BIAS; d++) {
        g1_affine term;
        lane_mask present = g1_load_bucket(&term, r, d);
        if (d % LOW_VALUES)
            g1_add_term(&room->low[d % LOW_VALUES], &term, present);
        if (d / LOW_VALUES)
            g1_add_term(&room->high[d / LOW_VALUES], &term, present);
    }
    sum_by_value(&high, room->high, HIGH_VALUES);
    for (int i = 0; i < 4; i++)
        g1_double(&high.sum, &high.sum);
    sum_by_value(out, room->low, LOW_VALUES);
    g1_add_total(out, &high);
}
