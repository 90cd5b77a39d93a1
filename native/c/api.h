/* What a build of the lanes offers, eight rows at a time. No type of lanes is known here.
 *
 * Points are in blst's form: affine ones 12 or 24 words of 64 bits, projective ones of G2 36, values of Fp12 72.
 * Every operation writes well[i] = 1 for a row that it did, and 0 for one that it leaves to blst: an
 * encoding that is not a finite point, one outside the group where that was asked, or an exception of the
 * additions. Whatever is wrong with a row, the others are right. Where a row is not well its output is
 * undefined. Any n is allowed, also 0. `scratch` is the caller's: scratch_bytes(..), 64-byte aligned.
 *
 * Twin in blst: ../bindings/blst.h.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* A rule of interpolation: see interpolation.pyx. */
typedef struct {
    size_t share;
    size_t power;
    const int8_t *digits;
} lanes_term;

typedef struct lanes_plan {
    size_t shares, multiples, powers, length, n_terms;
    const lanes_term *terms;
    const struct lanes_plan *scale;
} lanes_plan;

/* Pairs of one product of Miller values. */
#define LANES_PAIRS 32

/* Rows of a group of weighted_sums, at most. */
#define LANES_SUMMED LANES_PAIRS
/* What a byte of a word of sum_g1 is more than its digit. */
#define LANES_DIGIT_BIAS 128

/* The word that weighs 0. */
#define LANES_ZERO_WEIGHT 0x8888888888888888ull

typedef struct {
    const char *name;
    /* Memory for any operation; plan is NULL where none is interpolated, k is 0 without split. */
    size_t (*scratch_bytes)(const lanes_plan *plan, size_t k);
    /* Operands that were checked in this thread: only the checked build counts them. */
    uint64_t (*checks)(void);

    /* Points of rows[n][48] or rows[n][96]; with `group` only those in G1 or G2. */
    void (*decode_g1)(uint64_t (*points)[12], uint8_t *well, const uint8_t (*rows)[48], size_t n, int group);
    void (*decode_g2)(uint64_t (*points)[24], uint8_t *well, const uint8_t (*rows)[96], size_t n, int group);
    /* Which finite points of the curve are in G1 or G2. */
    void (*in_g1)(uint8_t *well, const uint64_t (*points)[12], size_t n);
    void (*in_g2)(uint8_t *well, const uint64_t (*points)[24], size_t n);
    /* Points of G2 from the 256 bytes that expand_message makes of a message. */
    void (*hash_to_g2)(uint64_t (*points)[24], uint8_t *well, const uint8_t (*uniform)[256], size_t n, void *scratch);
    /* out[i] from shares[i][plan->shares] */
    void (*interpolate)(uint64_t (*out)[24], uint8_t *well, const uint64_t (*shares)[24], size_t n,
                        const lanes_plan *plan, void *scratch);
    /* totals[i] += terms[i], of finite points of G1's curve; those that are not well stay as they are. */
    void (*add_g1)(uint64_t (*totals)[12], uint8_t *well, const uint64_t (*terms)[12], size_t n, void *scratch);
    /* out[i][j - 1] = sum of j^k points[i][k] over k = 0 .. t - 1, for j = 1 .. count, of finite points of G1's curve. */
    void (*values_g1)(uint64_t (*out)[12], uint8_t *well, const uint64_t (*points)[12], size_t n, size_t t, size_t count,
                      void *scratch);
    /* out[i] = words[i] points[i], of points in G1: words are weights, as weights.h says, and none is the zero */
    void (*weight_g1)(uint64_t (*out)[12], uint8_t *well, const uint64_t (*points)[12], const uint64_t *words,
                      size_t n, void *scratch);
    /* out[i] = scalars[i] points[i], of scalars below r and not 0, lowest word first; constant time */
    void (*multiply_g2)(uint64_t (*out)[24], uint8_t *well, const uint64_t (*points)[24],
                        const uint64_t (*scalars)[4], size_t n, void *scratch);
    /* out[i] = scalars[i] times the generator of G1, of scalars below r, lowest word first; constant time. table: as
     * comb.h says, of limbs that make_table gives; 64-byte aligned. */
    void (*multiply_base)(uint64_t (*out)[12], uint8_t *well, const uint64_t (*scalars)[4], const uint64_t *table,
                          size_t n, void *scratch);
    /* out[j] = product of the Miller values of pairs j * group .. j * group + group - 1, group of 1 .. LANES_PAIRS, but
     * for factors that the final exponentiation loses */
    void (*miller)(uint64_t (*out)[72], uint8_t *well, const uint64_t (*p)[12], const uint64_t (*q)[24], size_t n,
                   size_t group, void *scratch);
    /* sums[j] = sum of words[i] points[i] of rows j * group .. j * group + group - 1, 0 where there are none; eight
     * sums, so n is at most 8 group, and not 0. The points are in G2, or the sums any. */
    void (*weighted_sums)(uint64_t (*sums)[36], uint8_t *well, const uint64_t (*points)[24], const uint64_t *words,
                          size_t n, size_t group, void *scratch);
    /* Eight sums, which add up to the sum of words[i] points[i] of points in G2, n not 0. Returned: whether all is
     * well. in_group: whether all points of the curve are in G2, see buckets.h; if not the sums are any. */
    int (*sum_by_buckets)(uint64_t (*sums)[36], int *in_group, const uint64_t (*points)[24], const uint64_t *words,
                          size_t n, void *scratch);
    /* sums[w] = the sum of points[i] of G1's curve times byte w of words[i] less LANES_DIGIT_BIAS, lowest first; projective
     * points, 18 words. Returned: whether all is well. */
    int (*sum_g1)(uint64_t (*sums)[18], const uint64_t (*points)[12], const uint64_t *words, size_t n, void *scratch);
    /* Points of G1 as rows of a table, in the lanes' own form, which is the same for all builds. */
    void (*make_table)(uint64_t (*rows)[16], const uint64_t (*points)[12], size_t n);
    /* out[i][j - 1] = points[i] + f_i(j) B for j = 1 .. k: polynomials f_i of degree `drawn` with f_i(0) = 0, by
     * their differences at 0 of order 1 .. drawn. drawn is at least 1, and at most k - 1.
     *
     * In G1 B is the generator, table[w][j] the row of (2 j + 1) 2^(8 w) B of 16 times 128 multiples; in G2 it is
     * bases[i]. scalars[i * drawn + o - 1], lowest byte first, has the windows that multiples.h tells of: for the
     * difference d of order o these are of
     *
     *     n = (d + (2^128 - 1) (1 + x^2)) / 2 mod r            = n[0] + n[1] x^2                                   in G1
     *     n = (d + (2^64 - 1) (1 + |x| + x^2 + |x|^3)) / 2 mod r = n[0] + n[1] |x| + n[2] x^2 + n[3] |x|^3         in G2
     */
    void (*split_g1)(uint64_t (*out)[12], uint8_t *well, const uint64_t (*points)[12], const uint8_t (*scalars)[32],
                     const uint64_t (*table)[16], size_t n, size_t drawn, size_t k, void *scratch);
    void (*split_g2)(uint64_t (*out)[24], uint8_t *well, const uint64_t (*points)[24], const uint64_t (*bases)[24],
                     const uint8_t (*scalars)[32], size_t n, size_t drawn, size_t k, void *scratch);
} lanes_operations;

/* The operations on AVX-512 IFMA. */
extern const lanes_operations lanes_ifma;
/* The same in portable C that checks every operand. */
extern const lanes_operations lanes_checked;
/* Whether this processor and its system have what lanes_ifma needs. */
int lanes_ifma_runs_here(void);
