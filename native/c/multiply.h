/* Multiplications by secret scalars.
 *
 * Twin in blst: e2.c, `POINTonE2_sign`.
 */
#pragma once
#include "points.h"

#define TABLE 8
#define NIBBLES_256 64
#define BIAS 0x8888888888888888ull

/* Scalars below 2^64 plus the bias: 16 nibbles and a carry. */
typedef struct { lanes low, carry; } biased_64;

INLINE void bias_64(biased_64 *out, const uint64_t k[LANES])
{
    uint64_t low[LANES], above[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        low[lane] = k[lane] + BIAS;
        above[lane] = TABLE + (low[lane] < BIAS);
    }
    out->low = lane_load(low);
    out->carry = lane_load(above);
}

INLINE lanes nibble_64(const biased_64 *biased, int i)
{
    return i == 16 ? biased->carry : lane_and(lane_shr(biased->low, 4 * i), lane_set(15));
}

#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#include "windows.h"
#undef FIELD
#undef CURVE

/* out = k q of scalars k[lane][4] below r, lowest word first; constant time: no branch, no address of k. */
SHARED void g2_multiply_secret(g2_jacobian *out, const g2_affine *q, const uint64_t k[LANES][4])
{
    g2_jacobian table[TABLE];
    uint64_t biased[4][LANES];
    lane_mask empty = 0xff;
    for (int lane = 0; lane < LANES; lane++) {
        unsigned __int128 sum = 0;
        for (int w = 0; w < 4; w++) {
            sum += (unsigned __int128) k[lane][w] + BIAS;
            biased[w][lane] = (uint64_t) sum;
            sum >>= 64;  /* 0 in the end: r + 0x88..8 is below 2^256 */
        }
    }
    g2_make_table(table, q);
    *out = table[0];
    for (int i = NIBBLES_256 - 1; i >= 0; i--) {
        if (i < NIBBLES_256 - 1)
            for (int d = 0; d < 4; d++)
                g2_double(out, out);
        lanes nibble = lane_and(lane_shr(lane_load(biased[i / 16]), 4 * (i % 16)), lane_set(15));
        g2_add_digit(out, &empty, table, nibble);
    }
    wipe(biased, sizeof biased);
}
