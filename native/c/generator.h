/* Multiples of the generator of G1 by secret scalars: no branch and no address depends on a scalar.
 *
 * A scalar d below r becomes odd by adding r where it is even, and is below 2^256 then. The bytes b_0 .. b_31 of
 * d >> 1 with its highest bit set stand for the odd digits 2 b - 255:
 *
 *     d = sum of (2 b_w - 255) 256^w
 *
 * so that no digit is 0. A table has the odd multiples 1, 3 .. 255 of 256^w times the generator, and all of a window's
 * are read for each digit. Additions are affine and incomplete; those of many rows share an inversion. A row where one had
 * an exception is not well: of scalars that anybody draws there are none.
 *
 * generator.c computes so on blst, comb.h on lanes. Twin in blst: e1.c, `blst_sk_to_pk_in_g1`.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define GENERATOR_WINDOWS 32
#define GENERATOR_MULTIPLES 128

/* The bytes that stand for the digits of a scalar below r, lowest word first. */
static inline void generator_digits(uint64_t digits[4], const uint64_t scalar[4])
{
    static const uint64_t order[4] = {0xffffffff00000001, 0x53bda402fffe5bfe, 0x3339d80809a1d805, 0x73eda753299d7d48};
    uint64_t even = (scalar[0] & 1) - 1;
    unsigned __int128 sum = 0;
    for (int w = 0; w < 4; w++) {
        sum += (unsigned __int128) scalar[w] + (order[w] & even);
        digits[w] = (uint64_t) sum;
        sum >>= 64;
    }
    for (int w = 0; w < 4; w++)
        digits[w] = digits[w] >> 1 | (w < 3 ? digits[w + 1] << 63 : 1ull << 63);
}

/* points[i] = scalars[i] times the generator where well[i] is 1, and 0 where it is left to blst; affine points in blst's
 * form. table[w][j]: (2 j + 1) 256^w times it. */
void generator_multiply(uint64_t (*points)[12], uint8_t *well, const uint64_t (*scalars)[4],
                        const uint64_t (*table)[GENERATOR_MULTIPLES][12], size_t n);
