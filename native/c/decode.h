/* Compressed points to affine ones (the format of ZCash, see draft-irtf-cfrg-pairing-friendly-curves, C).
 *
 * Only what is right is decoded: any other encoding, infinity too, is left to blst, which knows its status.
 *
 * Square roots in Fp2 by the complex method, for p = 3 mod 4. With n = a0^2 + a1^2, the norm, and s = sqrt(n),
 * one of t = (a0 +- s) / 2 is not 0, and with r = t^((p - 3) / 4)
 *
 *     y = t r + (a1 r / 2) i    has    y^2 = a  when t is a square,  y^2 = -a  when it is not,
 *
 * and then (i y)^2 = a.
 *
 * Twin in blst: e1.c and e2.c, `Uncompress`; sqrt.c, `sqrt_fp2`.
 */
#pragma once
#include "points.h"

/* out = t r + (a1 r / 2) i, or i times it: the one whose square is a, and the lanes where one is. a below 128 p */
SHARED lane_mask fp2_root_from(fp2 *out, const fp2 *a, const fp *t, const fp *r)
{
    fp2 root, turned, square, sum;
    fp half;
    fp_halve(&half, &a->c1);
    fp_mul(&root.c0, t, r);
    fp_mul(&root.c1, &half, r);
    fp2_sqr(&square, &root);
    lane_mask is_root = fp2_equal(&square, a);
    fp2_add(&sum, &square, a);
    lane_mask is_turned = fp2_is_zero(&sum);
    fp_negate(&turned.c0, &root.c1, P_4);
    turned.c1 = root.c0;
    fp2_select(out, is_turned, &root, &turned);
    return is_root | is_turned;
}

/* out = (a0 - s) / 2, or (a0 + s) / 2 where the first is 0; a0, s below 64 p */
SHARED void half_trace(fp *out, const fp *a0, const fp *s)
{
    fp difference, sum;
    fp_sub(&difference, a0, s, P_64);
    fp_add(&sum, a0, s);
    fp_select(out, fp_is_zero(&difference), &difference, &sum);
    fp_halve(out, out);
}

/* Roots of n elements below 64 p; found[]: the lanes that have one. */
SHARED void fp2_roots(fp2 *out, const fp2 *a, lane_mask *found, int n)
{
    fp norm[STREAMS], t[STREAMS], r[STREAMS];
    for (int k = 0; k < n; k++)
        fp2_norm(&norm[k], &a[k]);
    fp_reciprocal_roots(r, norm, n);
    for (int k = 0; k < n; k++) {
        fp_mul(&t[k], &r[k], &norm[k]);
        half_trace(&t[k], &a[k].c0, &t[k]);
    }
    fp_reciprocal_roots(r, t, n);
    for (int k = 0; k < n; k++)
        found[k] = fp2_root_from(&out[k], &a[k], &t[k], &r[k]);
}

/* --- bytes --- */

/* out = 48 big-endian bytes at each offset, not in Montgomery form. Returned: the word with the flags, which are
 * cut off when `flags`.
 */
INLINE lanes load_big_endian(fp *out, const uint8_t *base, lanes offsets, int flags)
{
    lanes w[6];
    UNROLL for (int k = 0; k < 6; k++)
        w[k] = lane_swap_bytes(lane_gather(base + 40 - 8 * k, offsets));
    lanes top = w[5];
    if (flags)
        w[5] = lane_and(top, lane_set((1ull << 61) - 1));
    limbs_of_words(out, w);
    fp_claim(out, 10);  /* any 384 bits */
    return top;
}

/* Whether a number is below p. */
INLINE lane_mask below_p(const fp *a)
{
    lanes t[LIMBS];
    fp difference;
    EACH_LIMB t[j] = lane_sub(a->limb[j], lane_constant(&P_LIMBS[j]));
    carry(&difference, t);
    return lane_negative(difference.limb[LIMBS - 1]);
}

INLINE void to_montgomery(fp *a)
{
    fp factor;
    fp_set(&factor, TO_MONTGOMERY);
    fp_mul(a, a, &factor);
}

#define COMPRESSED (1ull << 63)
#define INFINITE (1ull << 62)
#define LARGER (1ull << 61)

/* Lanes with the flags of a finite compressed point. */
INLINE lane_mask is_finite(lanes top)
{
    return lane_any_bits(top, lane_set(COMPRESSED)) & (lane_mask) ~lane_any_bits(top, lane_set(INFINITE));
}

/* Whether y is lexicographically larger than -y. */
SHARED lane_mask fp_is_larger(const fp *y)
{
    fp value;
    fp_canonical(&value, y);
    return is_above(&value, HALF_P);
}

/* The same: by the second part, unless it is 0. */
SHARED lane_mask fp2_is_larger(const fp2 *y)
{
    lane_mask real = fp_is_zero(&y->c1);
    return (real & fp_is_larger(&y->c0)) | (fp_is_larger(&y->c1) & (lane_mask) ~real);
}

/* n groups of points of G1's curve from 48 bytes at each offset; decoded[]: the lanes where a point is. The two with
 * x = 0, of order 3, are left to blst, which takes them for none.
 */
SHARED void g1_decode(g1_affine *out, const uint8_t *base, const lanes *offsets, lane_mask *decoded, int n)
{
    fp square[STREAMS], y[STREAMS], four;
    lane_mask larger[STREAMS];
    fp_set(&four, FOUR);
    for (int k = 0; k < n; k++) {
        lanes top = load_big_endian(&out[k].x, base, offsets[k], 1);
        decoded[k] = is_finite(top) & below_p(&out[k].x) & (lane_mask) ~all_zero(&out[k].x);
        larger[k] = lane_any_bits(top, lane_set(LARGER));
        to_montgomery(&out[k].x);
        fp_sqr(&square[k], &out[k].x);
        fp_mul(&square[k], &square[k], &out[k].x);
        fp_add(&square[k], &square[k], &four);
    }
    fp_reciprocal_roots(y, square, n);
    for (int k = 0; k < n; k++) {
        fp again;
        fp_mul(&y[k], &y[k], &square[k]);
        fp_sqr(&again, &y[k]);
        decoded[k] &= fp_equal(&again, &square[k]);
        g1_negate_y(&out[k].y, fp_is_larger(&y[k]) ^ larger[k], &y[k]);
    }
}

/* n groups of points of G2's curve from 96 bytes at each offset; decoded[]: the lanes where a point is. */
SHARED void g2_decode(g2_affine *out, const uint8_t *base, const lanes *offsets, lane_mask *decoded, int n)
{
    fp2 square[STREAMS], y[STREAMS];
    fp four;
    lane_mask larger[STREAMS], found[STREAMS];
    fp_set(&four, FOUR);
    for (int k = 0; k < n; k++) {
        fp2 *x = &out[k].x;
        lanes top = load_big_endian(&x->c1, base, offsets[k], 1);
        load_big_endian(&x->c0, base + 48, offsets[k], 0);
        decoded[k] = is_finite(top) & below_p(&x->c0) & below_p(&x->c1);
        larger[k] = lane_any_bits(top, lane_set(LARGER));
        to_montgomery(&x->c0);
        to_montgomery(&x->c1);
        fp2_sqr(&square[k], x);
        fp2_mul(&square[k], &square[k], x);
        fp_add(&square[k].c0, &square[k].c0, &four);
        fp_add(&square[k].c1, &square[k].c1, &four);
    }
    fp2_roots(y, square, found, n);
    for (int k = 0; k < n; k++) {
        decoded[k] &= found[k];
        g2_negate_y(&out[k].y, fp2_is_larger(&y[k]) ^ larger[k], &y[k]);
    }
}
