/* Multiples of the generator of G1 by secret scalars, as generator.h says, on lanes.
 *
 * The table has a limb of all multiples of a window side by side, so that a lookup of eight lanes is a few permutations.
 *
 * Twin in blst: see generator.h.
 */
#pragma once
#include "generator.h"
#include "points.h"

#define COMB_LIMBS (2 * LIMBS)
#define CHOSEN_TOGETHER 16  /* of lane_choose */
#define COMB_CHOICES (GENERATOR_MULTIPLES / CHOSEN_TOGETHER)

typedef uint64_t comb_window[COMB_LIMBS][GENERATOR_MULTIPLES];

typedef struct {
    uint64_t words[ROUND][4][LANES];
    g1_affine sums[ROUND], terms[ROUND];
    fp denominators[ROUND], prefixes[ROUND];
    lane_mask fine[ROUND];
} comb_room;

/* The digits of scalars[lane][4] */
static void comb_digits(uint64_t words[4][LANES], const uint64_t scalars[LANES][4])
{
    uint64_t digits[4];
    for (int lane = 0; lane < LANES; lane++) {
        generator_digits(digits, scalars[lane]);
        for (int w = 0; w < 4; w++)
            words[w][lane] = digits[w];
    }
    wipe(digits, sizeof digits);
}

/* out = one limb of the multiples that `index` names */
INLINE lanes choose_multiple(const uint64_t multiples[GENERATOR_MULTIPLES], lanes index)
{
    lanes of[COMB_CHOICES];
    lane_mask bit_4 = lane_any_bits(index, lane_set(16)), bit_5 = lane_any_bits(index, lane_set(32));
    UNROLL for (int i = 0; i < COMB_CHOICES; i++)
        of[i] = lane_choose(multiples + CHOSEN_TOGETHER * i, index);
    UNROLL for (int i = 0; i < COMB_CHOICES / 2; i++)
        of[i] = lane_select(bit_4, of[2 * i], of[2 * i + 1]);
    UNROLL for (int i = 0; i < COMB_CHOICES / 4; i++)
        of[i] = lane_select(bit_5, of[2 * i], of[2 * i + 1]);
    return lane_select(lane_any_bits(index, lane_set(64)), of[0], of[1]);
}

/* out = digit w times 256^w times the generator */
SHARED void comb_look_up(g1_affine *out, const comb_window *window, const uint64_t words[4][LANES], int w)
{
    lanes byte = lane_and(lane_shr(lane_load(words[w / 8]), 8 * (unsigned) (w % 8)), lane_set(255));
    lane_mask negative = (lane_mask) ~lane_any_bits(byte, lane_set(128));
    lanes low = lane_and(byte, lane_set(127));
    lanes index = lane_select(negative, low, lane_sub(lane_set(127), low));
    EACH_LIMB out->x.limb[j] = choose_multiple((*window)[j], index);
    EACH_LIMB out->y.limb[j] = choose_multiple((*window)[LIMBS + j], index);
    fp_declare(&out->x, 64);
    fp_declare(&out->y, 64);
    g1_negate_y(&out->y, negative, &out->y);
}

/* sums[i] += terms[i] of n groups, with one inversion; where x is equal the bit of fine[i] is cleared. Constant time. */
static void comb_add(comb_room *r, int n)
{
    lane_mask zero[ROUND];
    fp product;
    for (int i = 0; i < n; i++)
        g1_run_of(&r->denominators[i], &r->sums[i], &r->terms[i]);
    fp_replace_zeros(r->denominators, zero, n);
    fp_multiply_all(&product, r->prefixes, r->denominators, n);
    fp_divide_all(r->denominators, &product, r->prefixes, NULL, n);
    for (int i = 0; i < n; i++) {
        r->fine[i] &= (lane_mask) ~zero[i];
        g1_add_by_inverse(&r->sums[i], &r->sums[i], &r->terms[i], &r->denominators[i]);
    }
}

/* sums[i] = the multiples by the digits in words[i], of n groups; constant time. */
static void comb_multiply(comb_room *r, const comb_window *table, int n)
{
    for (int w = 0; w < GENERATOR_WINDOWS; w++) {
        for (int i = 0; i < n; i++)
            comb_look_up(w ? &r->terms[i] : &r->sums[i], &table[w], r->words[i], w);
        if (w)
            comb_add(r, n);
    }
}
