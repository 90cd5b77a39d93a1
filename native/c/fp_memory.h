/* Elements of Fp in memory: 6 words of 64 bits, which is blst's form, or the lanes' own limbs. */
#pragma once
#include "fp.h"

INLINE void limbs_of_words(fp *out, const lanes w[6])
{
    out->limb[0] = lane_low(w[0]);
    UNROLL for (int j = 1; j < LIMBS - 1; j++) {
        int word = LIMB_BITS * j / 64, bit = LIMB_BITS * j % 64;
        lanes low = lane_shr(w[word], bit);
        out->limb[j] = lane_low(bit > 64 - LIMB_BITS ? lane_or(low, lane_shl(w[word + 1], 64 - bit)) : low);
    }
    out->limb[LIMBS - 1] = lane_shr(w[5], 44);
}

INLINE void words_of_limbs(lanes w[6], const fp *a)
{
    UNROLL for (int k = 0; k < 6; k++) {
        int limb = 64 * k / LIMB_BITS, bit = 64 * k % LIMB_BITS;
        w[k] = lane_or(lane_shr(a->limb[limb], bit), lane_shl(a->limb[limb + 1], LIMB_BITS - bit));
        if (2 * LIMB_BITS - bit < 64)
            w[k] = lane_or(w[k], lane_shl(a->limb[limb + 2], 2 * LIMB_BITS - bit));
    }
}

/* out = what blst has as 48 bytes at each offset */
SHARED void fp_load(fp *out, const void *base, lanes offsets)
{
    lanes w[6];
    fp form;
    UNROLL for (int k = 0; k < 6; k++)
        w[k] = lane_gather((const char *) base + 8 * k, offsets);
    limbs_of_words(out, w);
    fp_declare(out, 10);  /* any 384 bits */
    fp_set(&form, FROM_BLST);
    fp_mul(out, out, &form);
}

SHARED void fp_store(void *base, lanes offsets, const fp *a)
{
    lanes w[6];
    fp form;
    fp_set(&form, TO_BLST);
    fp_mul(&form, a, &form);
    subtract_p_once(&form);
    words_of_limbs(w, &form);
    UNROLL for (int k = 0; k < 6; k++)
        lane_scatter((char *) base + 8 * k, offsets, w[k]);
}

/* Of eight rows, each of the limbs of one lane: elements below 64 p, as they are. */
INLINE void fp_load_rows(fp *out, const uint64_t *const rows[LANES], size_t at)
{
    for (int lane = 0; lane < LANES; lane++)
        out->limb[lane] = lane_load(rows[lane] + at);
    lane_transpose(out->limb);
    fp_declare(out, 64);
}

INLINE void fp_store_rows(uint64_t *const rows[LANES], size_t at, const fp *a)
{
    fp t = *a;
    fp_expect(a, 64);
    lane_transpose(t.limb);
    for (int lane = 0; lane < LANES; lane++)
        lane_store(rows[lane] + at, t.limb[lane]);
}
