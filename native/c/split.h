/* The multiples of a split for oracles: of the generator of G1, from a table, and of a row's hash in G2. Both take time
 * and addresses from their scalars, which are masks that are used once.
 */
#pragma once
#include "multiply.h"

#define FIELD(name) fp_##name
#define CURVE(name) g1_##name
#define FIELD_BYTES 48
#include "extend.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES

#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#define FIELD_BYTES 96
#include "extend.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES

#define BASE_WINDOWS 32
#define BASE_MULTIPLES 128

/* total += sum over w of windows[lane][w] 2^(8 w) G1, of -128 .. 127. table[w][j] = (j + 1) 2^(8 w) G1, in blst's
 * form.
 */
SHARED void g1_add_multiple_of_generator(g1_jacobian *total, const int8_t *windows[LANES], const void *table)
{
    for (int w = 0; w < BASE_WINDOWS; w++) {
        uint64_t offsets[LANES];
        lane_mask negative = 0, zero = 0;
        g1_affine term;
        g1_jacobian sum;
        for (int lane = 0; lane < LANES; lane++) {
            int digit = windows[lane][w], multiple = digit < 0 ? -digit : digit;
            negative |= (lane_mask) ((digit < 0) << lane);
            zero |= (lane_mask) ((digit == 0) << lane);
            offsets[lane] = (uint64_t) (w * BASE_MULTIPLES + multiple - (multiple > 0)) * 96;
        }
        g1_load(&term, table, lane_load(offsets));
        g1_negate_y(&term.y, negative, &term.y);
        g1_add_affine(&sum, total, &term);
        g1_select(total, zero, &sum, total);
    }
}

/* Of a scalar in base |x| four digits of 64 bits, in 2 halves of 8 signed windows of 4 bits. */
#define POWERS 4
#define HALVES 2
#define WINDOWS 8

/* [power][TABLE half + j]: (j + 1) |x|^power 2^(32 half) q */
typedef struct { g2_affine of[POWERS][HALVES * TABLE]; } comb;

/* The table of q, and the lanes where it is right. `room`: GROUPS points. */
SHARED lane_mask make_comb(comb *out, const g2_affine *q, g2_jacobian *room)
{
    lane_mask zero[HALVES * TABLE], any = 0;
    g2_affine half;
    g2_make_table(room, q);
    room[TABLE] = room[0];
    for (int i = 0; i < 4 * WINDOWS; i++)
        g2_double(&room[TABLE], &room[TABLE]);
    g2_to_affine(&half, &room[TABLE], zero, 1);
    any |= zero[0];
    g2_make_table(room + TABLE, &half);
    g2_to_affine(out->of[0], room, zero, HALVES * TABLE);
    for (int j = 0; j < HALVES * TABLE; j++)
        any |= zero[j];
    for (int power = 1; power < POWERS; power++) {
        for (int j = 0; j < HALVES * TABLE; j++) {
            const g2_affine *from = &out->of[power - 1][j];
            g2_affine *to = &out->of[power][j];
            psi_x(&to->x, &from->x);
            psi_y(&to->y, &from->y);
            fp2_negate(&to->y, &to->y, P_4);
        }
    }
    return (lane_mask) ~any;
}

/* total += digit q, as g2_add_digit, of affine multiples */
SHARED void g2_add_affine_digit(g2_jacobian *total, lane_mask *empty, const g2_affine multiples[TABLE], lanes nibble)
{
    g2_affine term = multiples[0];
    g2_jacobian sum, own;
    lanes digit = lane_sub(nibble, lane_set(TABLE));
    lane_mask negative = lane_negative(digit);
    digit = lane_select(negative, digit, lane_sub(lane_set(0), digit));
    lane_mask zero = lane_is_zero(digit);
    for (int j = 1; j < TABLE; j++) {
        lane_mask here = lane_equal(digit, lane_set(j + 1));
        fp2_select(&term.x, here, &term.x, &multiples[j].x);
        fp2_select(&term.y, here, &term.y, &multiples[j].y);
    }
    g2_negate_y(&term.y, negative, &term.y);
    g2_add_affine(&sum, total, &term);
    if (*empty) {
        g2_from_affine(&own, &term);
        g2_select(&sum, *empty, &sum, &own);
    }
    g2_select(total, zero, &sum, total);
    *empty &= zero;
}

/* out = k q of the digits k[power][lane]; returned: the lanes where it is 0 */
SHARED lane_mask g2_multiply_comb(g2_jacobian *out, const comb *table, const uint64_t k[POWERS][LANES])
{
    biased_64 biased[POWERS];
    lane_mask empty = 0xff;
    for (int power = 0; power < POWERS; power++)
        bias_64(&biased[power], k[power]);
    g2_from_affine(out, &table->of[0][0]);
    for (int i = WINDOWS; i >= 0; i--) {
        for (int d = 0; d < 4 && empty != 0xff; d++)
            g2_double(out, out);
        for (int power = 0; power < POWERS; power++) {
            if (i < WINDOWS)
                g2_add_affine_digit(out, &empty, table->of[power], nibble_64(&biased[power], i));
            g2_add_affine_digit(out, &empty, table->of[power] + TABLE, nibble_64(&biased[power], i + WINDOWS));
        }
    }
    return empty;
}
