/* The weighted sum of many points of the curve of G2, and whether all are in G2: here a lane has a window of the
 * weights, not a point.
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
#include "weights.h"

#define DIGITS 8
#define DIGIT_BITS 8
#define DIGIT_BIAS 136
#define BUCKETS (DIGIT_BIAS + 1)  /* bucket 0: of lanes that have nothing to add */
#define COORDINATE (2 * LIMBS)
#define BLOCK 128                 /* points that wait for their buckets together */
#define TOGETHER 32               /* additions of a lane that share an inversion, at most ROUND */

typedef struct {
    g2_round round;
    g2_affine bucket_points[TOGETHER], own_points[TOGETHER];
    uint64_t bucket[DIGITS][BUCKETS][2 * COORDINATE];
    uint64_t point[BLOCK][3 * COORDINATE];  /* x, y, -y */
    int16_t digit[DIGITS][BLOCK];
    uint8_t used[DIGITS][BUCKETS];
    uint8_t waiting[DIGITS][BLOCK];
    int n_waiting[DIGITS];
    uint64_t *to[TOGETHER][LANES];
    const uint64_t *x[TOGETHER][LANES], *y[TOGETHER][LANES];
    lane_mask idle[TOGETHER], fine[TOGETHER];
} bucket_room;

INLINE void load_coordinate(fp2 *out, const uint64_t *const from[LANES], size_t at)
{
    fp_load_rows(&out->c0, from, at);
    fp_load_rows(&out->c1, from, at + LIMBS);
}

INLINE void store_coordinate(uint64_t *const to[LANES], size_t at, const fp2 *a)
{
    fp_store_rows(to, at, &a->c0);
    fp_store_rows(to, at + LIMBS, &a->c1);
}

static void load_point(g2_affine *out, const uint64_t *const from[LANES])
{
    load_coordinate(&out->x, from, 0);
    load_coordinate(&out->y, from, COORDINATE);
}

static void store_point(uint64_t *const to[LANES], const g2_affine *q)
{
    store_coordinate(to, 0, &q->x);
    store_coordinate(to, COORDINATE, &q->y);
}

static void open_buckets(bucket_room *r)
{
    r->round.n = 0;
    memset(r->used, 0, sizeof r->used);
    for (int w = 0; w < DIGITS; w++)
        memset(r->bucket[w][0], 0, sizeof r->bucket[w][0]);
}

/* Points first .. first + 7 of the block */
static void put_points(bucket_room *r, const g2_affine *q, int first)
{
    uint64_t *to[LANES];
    fp2 minus;
    for (int lane = 0; lane < LANES; lane++)
        to[lane] = r->point[first + lane];
    store_point(to, q);
    fp2_negate(&minus, &q->y, P_4);
    store_coordinate(to, 2 * COORDINATE, &minus);
}

/* All n points of the block wait in each window where they have a digit. */
static void put_words(bucket_room *r, const uint64_t *words, int n)
{
    for (int w = 0; w < DIGITS; w++) {
        int waiting = 0;
        for (int i = 0; i < n; i++) {
            r->digit[w][i] = (int16_t) ((int) (words[i] >> (DIGIT_BITS * w) & 0xff) - DIGIT_BIAS);
            r->waiting[w][waiting] = (uint8_t) i;
            waiting += r->digit[w][i] != 0;
        }
        r->n_waiting[w] = waiting;
    }
}

/* Takes the next additions of window w, of which no two have one bucket; their number. A bucket's first point is it. */
static int take_additions(bucket_room *r, int w)
{
    uint8_t taken[BUCKETS] = {0};
    int n = 0, left = 0;
    for (int i = 0; i < r->n_waiting[w]; i++) {
        int point = r->waiting[w][i], digit = r->digit[w][point], bucket = digit < 0 ? -digit : digit;
        const uint64_t *x = r->point[point], *y = x + (digit < 0 ? 2 * COORDINATE : COORDINATE);
        if (!r->used[w][bucket]) {
            memcpy(r->bucket[w][bucket], x, COORDINATE * sizeof *x);
            memcpy(r->bucket[w][bucket] + COORDINATE, y, COORDINATE * sizeof *y);
            r->used[w][bucket] = 1;
        } else if (n == TOGETHER || taken[bucket]) {
            r->waiting[w][left++] = (uint8_t) point;
        } else {
            taken[bucket] = 1;
            r->to[n][w] = r->bucket[w][bucket];
            r->x[n][w] = x;
            r->y[n][w] = y;
            r->idle[n] &= (lane_mask) ~(1 << w);
            n++;
        }
    }
    r->n_waiting[w] = left;
    return n;
}

/* Adds what can be added at once; its number in the window with the most. An exception sets its lane in failed. */
static int add_waiting(bucket_room *r, lane_mask *failed)
{
    int most = 0;
    for (int i = 0; i < TOGETHER; i++) {
        r->idle[i] = 0xff;
        for (int w = 0; w < DIGITS; w++) {
            r->to[i][w] = r->bucket[w][0];
            r->x[i][w] = r->y[i][w] = r->point[0];
        }
    }
    for (int w = 0; w < DIGITS; w++) {
        int n = take_additions(r, w);
        most = n > most ? n : most;
    }
    for (int i = 0; i < most; i++) {
        load_point(&r->bucket_points[i], (const uint64_t *const *) r->to[i]);
        load_coordinate(&r->own_points[i].x, r->x[i], 0);
        load_coordinate(&r->own_points[i].y, r->y[i], 0);
        r->fine[i] = 0xff;
        g2_queue(&r->round, &r->bucket_points[i], &r->bucket_points[i], &r->own_points[i], &r->fine[i]);
    }
    if (most)
        g2_run(&r->round);
    for (int i = 0; i < most; i++) {
        *failed |= (lane_mask) ~(r->fine[i] | r->idle[i]);
        store_point(r->to[i], &r->bucket_points[i]);
    }
    return most;
}

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

/* a += b */
static void add_total(g2_total *a, const g2_total *b)
{
    lane_mask both = (lane_mask) ~(a->empty | b->empty);
    g2_jacobian sum;
    if (both) {
        g2_add(&sum, &a->sum, &b->sum);
        g2_select(&sum, a->empty | b->empty, &sum, &a->sum);
    } else {
        sum = a->sum;
    }
    g2_select(&a->sum, a->empty, &sum, &b->sum);
    a->empty &= b->empty;
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
        add_total(&sums->digit[(digit < 0 ? -digit : digit) - 1], &own);
    if (quotient)
        add_total(&sums->quotient[quotient - 1], term);
}

/* out = T_1 + 2 T_2 + 3 T_3 = T_1 + T_3 + 2 (T_2 + T_3) */
static void sum_of_digits(g2_total *out, const g2_total T[LARGEST_DIGIT])
{
    g2_total twice = T[1];
    add_total(&twice, &T[2]);
    g2_double(&twice.sum, &twice.sum);
    *out = T[0];
    add_total(out, &T[2]);
    add_total(out, &twice);
}

/* F_1 .. F_3 from the buckets; room: two of it */
static void sums_of_buckets(g2_total F[FUNCTIONS], const bucket_room *r, divided *room)
{
    clear_divided(&room[0]);
    clear_divided(&room[1]);
    for (int d = 1; d < BUCKETS; d++) {
        const uint64_t *from[LANES];
        lane_mask present = 0;
        g2_affine term;
        for (int w = 0; w < DIGITS; w++) {
            present |= (lane_mask) (r->used[w][d] << w);
            from[w] = r->bucket[w][r->used[w][d] ? d : 0];
        }
        load_point(&term, from);
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
    add_total(&seven, &minus);
    add_total(a, &seven);
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
