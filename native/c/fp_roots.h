/* Roots and inverses in Fp.
 *
 * Twin in blst: sqrt.c with sqrt-addchain.h, recip.c.
 */
#pragma once
#include "fp_memory.h"

/* --- powers --- */

/* At most so many elements of one lane are raised together: one waits while another is computed. */
#define STREAMS 3

/* out[s] = in[s]^((p - 3) / 4) of n elements below 2^14 p. Of a square it is 1 / root; its square times
 * the element is 1 for squares, -1 for others, 0 for 0. `out` is not `in`. */
SHARED void fp_reciprocal_roots(fp *out, const fp *in, int n)
{
    fp powers[STREAMS][CHAIN_POWERS];
    for (int s = 0; s < n; s++) {
        fp *power = powers[s];
        fp square;
        power[0] = in[s];
        for (int k = 1; k < CHAIN_POWERS; k++) {
            if (k == 1 || CHAIN_POWER[k].square != CHAIN_POWER[k - 1].square)
                fp_sqr(&square, &power[CHAIN_POWER[k].square]);
            fp_mul(&power[k], &power[CHAIN_POWER[k].of], &square);
        }
        out[s] = power[CHAIN[0].power];
    }
    for (int step = 1; step < CHAIN_STEPS; step++) {
        for (int i = 0; i < CHAIN[step].squarings; i++)
            for (int s = 0; s < n; s++)
                fp_sqr(&out[s], &out[s]);
        for (int s = 0; s < n; s++)
            fp_mul(&out[s], &out[s], &powers[s][CHAIN[step].power]);
    }
    for (int i = 0; i < CHAIN_LAST_SQUARINGS; i++)
        for (int s = 0; s < n; s++)
            fp_sqr(&out[s], &out[s]);
}

/* --- inverses --- */

/* blst's, of 6 words in its form; constant time */
extern void blst_fp_inverse(uint64_t out[6], const uint64_t a[6]);

/* out: in each lane the element of lane ^ distance */
INLINE void fp_swap(fp *out, const fp *a, unsigned distance)
{
    EACH_LIMB out->limb[j] = lane_swap(a->limb[j], distance);
    fp_declare(out, a->bound);
}

/* out = 1 / a of a that is not 0, below 1.26 p for operands below 2^14 p. Constant time.
 *
 * The lanes share one inversion: their product is made by halves, and its inverse times the halves that a lane is not
 * in is the lane's own.
 */
SHARED void fp_invert(fp *out, const fp *a)
{
    uint64_t words[6];
    fp product = *a, others[3];
    for (int k = 0; k < 3; k++) {
        fp_swap(&others[k], &product, 1u << k);
        fp_mul(&product, &product, &others[k]);
    }
    fp_store(words, lane_set(0), &product);
    blst_fp_inverse(words, words);
    fp_load(&product, words, lane_set(0));
    for (int k = 0; k < 3; k++)
        fp_mul(&product, &product, &others[k]);
    *out = product;
}

/* Makes what is 0 of n elements 1; zero[i]: the lanes where a[i] was. Constant time. */
SHARED void fp_replace_zeros(fp *a, lane_mask *zero, int n)
{
    fp one;
    fp_set(&one, ONE);
    for (int i = 0; i < n; i++) {
        zero[i] = fp_is_zero(&a[i]);
        fp_select(&a[i], zero[i], &a[i], &one);
    }
}

/* prefix[i] = a[0] ... a[i - 1], out = all of n elements */
SHARED void fp_multiply_all(fp *out, fp *prefix, const fp *a, int n)
{
    fp_set(out, ONE);
    for (int i = 0; i < n; i++) {
        prefix[i] = *out;
        fp_mul(out, out, &a[i]);
    }
}

/* a[i] = numerator / a[i] of n elements with these products, none of them 0, by one inversion (Montgomery's trick).
 * `numerator` may be NULL for 1. Constant time.
 */
SHARED void fp_divide_all(fp *a, const fp *product, const fp *prefix, const fp *numerator, int n)
{
    fp inverse, own;
    fp_invert(&inverse, product);
    if (numerator)
        fp_mul(&inverse, &inverse, numerator);
    for (int i = n - 1; i >= 0; i--) {
        fp_mul(&own, &inverse, &prefix[i]);
        fp_mul(&inverse, &inverse, &a[i]);
        a[i] = own;
    }
}

/* The same, where some may be 0, in the lanes zero[i]; the result is any there. It takes longer then. `room`: n elements.
 */
SHARED void fp_divide_each(fp *a, fp *room, lane_mask *zero, const fp *numerator, int n)
{
    fp product;
    fp_multiply_all(&product, room, a, n);
    memset(zero, 0, (size_t) n * sizeof *zero);
    if (fp_is_zero(&product)) {
        fp_replace_zeros(a, zero, n);
        fp_multiply_all(&product, room, a, n);
    }
    fp_divide_all(a, &product, room, numerator, n);
}
