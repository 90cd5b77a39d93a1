/* lanes.h for AVX-512 F, DQ, BW and IFMA. */
#pragma once
#include <immintrin.h>

typedef __m512i lanes;

INLINE lanes lane_set(uint64_t a) { return _mm512_set1_epi64((long long) a); }
INLINE lanes lane_load(const uint64_t *a) { return _mm512_loadu_si512(a); }
INLINE void lane_store(uint64_t *out, lanes a) { _mm512_storeu_si512(out, a); }
INLINE lanes lane_add(lanes a, lanes b) { return _mm512_add_epi64(a, b); }
INLINE lanes lane_sub(lanes a, lanes b) { return _mm512_sub_epi64(a, b); }
INLINE lanes lane_scale(lanes a, unsigned n) { return _mm512_slli_epi64(a, n); }
INLINE lanes lane_and(lanes a, lanes b) { return _mm512_and_si512(a, b); }
INLINE lanes lane_or(lanes a, lanes b) { return _mm512_or_si512(a, b); }
INLINE lanes lane_shl(lanes a, unsigned n) { return _mm512_slli_epi64(a, n); }
INLINE lanes lane_shr(lanes a, unsigned n) { return _mm512_srli_epi64(a, n); }
INLINE lanes lane_sar(lanes a, unsigned n) { return _mm512_srai_epi64(a, n); }
INLINE lanes lane_madd_lo(lanes c, lanes a, lanes b) { return _mm512_madd52lo_epu64(c, a, b); }
INLINE lanes lane_madd_hi(lanes c, lanes a, lanes b) { return _mm512_madd52hi_epu64(c, a, b); }
/* The instruction reads 52 bits anyway. */
INLINE lanes lane_fold_lo(lanes c, lanes a, lanes b) { return _mm512_madd52lo_epu64(c, a, b); }
INLINE lanes lane_fold_hi(lanes c, lanes a, lanes b) { return _mm512_madd52hi_epu64(c, a, b); }
INLINE lanes lane_select(lane_mask m, lanes a, lanes b) { return _mm512_mask_blend_epi64(m, a, b); }
INLINE lane_mask lane_negative(lanes a) { return _mm512_movepi64_mask(a); }
INLINE lane_mask lane_is_zero(lanes a) { return _mm512_testn_epi64_mask(a, a); }
INLINE lane_mask lane_equal(lanes a, lanes b) { return _mm512_cmpeq_epi64_mask(a, b); }
INLINE lane_mask lane_any_bits(lanes a, lanes b) { return _mm512_test_epi64_mask(a, b); }
INLINE lanes lane_gather(const void *base, lanes offsets) { return _mm512_i64gather_epi64(offsets, base, 1); }
INLINE void lane_scatter(void *base, lanes offsets, lanes a) { _mm512_i64scatter_epi64(base, offsets, a, 1); }

INLINE lanes lane_choose(const uint64_t *table, lanes index)
{
    return _mm512_permutex2var_epi64(lane_load(table), index, lane_load(table + 8));
}

INLINE lanes lane_swap(lanes a, unsigned distance)
{
    lanes lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_permutexvar_epi64(_mm512_xor_si512(lane, lane_set(distance)), a);
}

INLINE lanes lane_swap_bytes(lanes a)
{
    return _mm512_shuffle_epi8(a, _mm512_set4_epi64(0x08090a0b0c0d0e0fll, 0x0001020304050607ll,
                                                    0x08090a0b0c0d0e0fll, 0x0001020304050607ll));
}

INLINE void lane_leave(void) { _mm256_zeroupper(); }

INLINE lanes lane_constant(const uint64_t *p)
{
    __asm__("" : "+r"(p));
    return lane_set(*p);
}

/* out = columns j, j + 2, j + 4 and j + 6, for j = 0 or 1, of what has columns of pairs of rows */
INLINE void transpose_pairs(lanes *out, lanes rows01, lanes rows23, lanes rows45, lanes rows67)
{
    lanes low = _mm512_shuffle_i64x2(rows01, rows23, 0x88), high = _mm512_shuffle_i64x2(rows45, rows67, 0x88);
    out[0] = _mm512_shuffle_i64x2(low, high, 0x88);
    out[4] = _mm512_shuffle_i64x2(low, high, 0xdd);
    low = _mm512_shuffle_i64x2(rows01, rows23, 0xdd), high = _mm512_shuffle_i64x2(rows45, rows67, 0xdd);
    out[2] = _mm512_shuffle_i64x2(low, high, 0x88);
    out[6] = _mm512_shuffle_i64x2(low, high, 0xdd);
}

INLINE void lane_transpose(lanes a[LANES])
{
    lanes even[LANES / 2], odd[LANES / 2];
    UNROLL for (int i = 0; i < LANES / 2; i++) {
        even[i] = _mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]);
        odd[i] = _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]);
    }
    transpose_pairs(a, even[0], even[1], even[2], even[3]);
    transpose_pairs(a + 1, odd[0], odd[1], odd[2], odd[3]);
}
