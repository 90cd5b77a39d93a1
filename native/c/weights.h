/* Weights of a batch check, which are a + b x^2 of two halves with 32 bits each: a point times x^2 is free in both groups.
 *
 * A word stands for the weight of its lower half less 0x88888888, a, and its upper half less that, b. So a digit is a
 * nibble less 8, or a byte less 136, and nothing is carried. The weights of all 2^64 words differ, even modulo r: of
 * two that agree, a - a' = (b' - b) x^2, where the left side is below 2^32, and x^2 above 2^127 while the right
 * side is below r. One word, ZERO_WEIGHT, weighs 0.
 *
 * Twin in blst: aggregate.c, the scalars of `PAIRING_Aggregate_PK_in_G1`.
 */
#pragma once
#include "api.h"
#include "points.h"

#define ZERO_WEIGHT LANES_ZERO_WEIGHT
#define NIBBLES 8          /* of a half */
#define SMALL_MULTIPLES 8  /* of a point, for digits -8 .. 7 */

#define FIELD(name) fp_##name
#define CURVE(name) g1_##name
#define TIMES_X_SQUARED BETA
#include "weighted.h"
#undef FIELD
#undef CURVE
#undef TIMES_X_SQUARED

#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#define TIMES_X_SQUARED PSI_SQUARED_X
#include "weighted.h"
#undef FIELD
#undef CURVE
#undef TIMES_X_SQUARED
