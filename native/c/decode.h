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
#include "rows.h"

/* Roots of n elements below 2^14 p; found[]: the lanes that have one. */
SHARED void fp_roots(fp *out, const fp *a, lane_mask *found, int n)
{
    fp_reciprocal_roots(out, a, n);
    for (int k = 0; k < n; k++) {
        fp square;
        fp_mul(&out[k], &out[k], &a[k]);
        fp_sqr(&square, &out[k]);
        found[k] = fp_equal(&square, &a[k]);
    }
}

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
    fp_declare(out, 10);  /* any 384 bits */
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

/* x of a compressed point, see load_big_endian. Fp2 has its second part first. */
INLINE lanes fp_load_compressed(fp *x, const uint8_t *base, lanes offsets)
{
    return load_big_endian(x, base, offsets, 1);
}

INLINE lanes fp2_load_compressed(fp2 *x, const uint8_t *base, lanes offsets)
{
    load_big_endian(&x->c0, base + 48, offsets, 0);
    return load_big_endian(&x->c1, base, offsets, 1);
}

/* Whether an element, not in Montgomery form, is below p, and not 0. */
INLINE lane_mask fp_is_coordinate(const fp *x) { return below_p(x) & (lane_mask) ~all_zero(x); }

INLINE lane_mask fp2_is_coordinate(const fp2 *x)
{
    return below_p(&x->c0) & below_p(&x->c1) & (lane_mask) ~(all_zero(&x->c0) & all_zero(&x->c1));
}

INLINE void fp_to_montgomery(fp *a)
{
    fp factor;
    fp_set(&factor, TO_MONTGOMERY);
    fp_mul(a, a, &factor);
}

INLINE void fp2_to_montgomery(fp2 *a)
{
    fp_to_montgomery(&a->c0);
    fp_to_montgomery(&a->c1);
}

/* b of y^2 = x^3 + b */
INLINE void fp_set_b(fp *out) { fp_set(out, FOUR); }

INLINE void fp2_set_b(fp2 *out)
{
    fp_set(&out->c0, FOUR);
    fp_set(&out->c1, FOUR);
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

#define FIELD(name) fp_##name
#define CURVE(name) g1_##name
#define FIELD_BYTES 48
#include "uncompress.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES

#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#define FIELD_BYTES 96
#include "uncompress.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES
