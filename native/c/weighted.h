/* Sums of points with weights, from a few multiples of each. Included like curve.h, once for each field, with
 *
 *   TIMES_X_SQUARED   what x is multiplied by when (x, y) becomes -x^2 (x, y) in the group
 */

/* A sum that has no term yet in the lanes of `empty`. An exception makes Z = 0. */
typedef struct { CURVE(jacobian) sum; lane_mask empty; } CURVE(total);

INLINE void CURVE(clear_total)(CURVE(total) *total)
{
    memset(&total->sum, 0, sizeof total->sum);
    total->empty = 0xff;
}

/* total += term in the lanes of `present` */
SHARED void CURVE(add_term)(CURVE(total) *total, const CURVE(affine) *term, lane_mask present)
{
    CURVE(jacobian) sum, first;
    lane_mask added = present & (lane_mask) ~total->empty;
    if (added) {
        CURVE(add_affine)(&sum, &total->sum, term);
        CURVE(select)(&total->sum, added, &total->sum, &sum);
    }
    if (total->empty & present) {
        CURVE(from_affine)(&first, term);
        CURVE(select)(&total->sum, total->empty & present, &total->sum, &first);
    }
    total->empty &= (lane_mask) ~present;
}

/* a += b */
static void CURVE(add_total)(CURVE(total) *a, const CURVE(total) *b)
{
    lane_mask both = (lane_mask) ~(a->empty | b->empty);
    CURVE(jacobian) sum;
    if (both) {
        CURVE(add)(&sum, &a->sum, &b->sum);
        CURVE(select)(&sum, a->empty | b->empty, &sum, &a->sum);
    } else {
        sum = a->sum;
    }
    CURVE(select)(&a->sum, a->empty, &sum, &b->sum);
    a->empty &= b->empty;
}

/* total += (nibble - 8) q of table[j] = (j + 1) q; `times_x_squared`: x^2 times that */
SHARED void CURVE(add_digit_of_weight)(CURVE(total) *total, const CURVE(affine) table[SMALL_MULTIPLES], lanes nibble,
                                       int times_x_squared)
{
    CURVE(affine) term = table[0];
    lanes digit = lane_sub(nibble, lane_set(8));
    lane_mask negative = lane_negative(digit);
    digit = lane_select(negative, digit, lane_sub(lane_set(0), digit));
    for (int j = 1; j < SMALL_MULTIPLES; j++) {
        lane_mask here = lane_equal(digit, lane_set((uint64_t) j + 1));
        FIELD(select)(&term.x, here, &term.x, &table[j].x);
        FIELD(select)(&term.y, here, &term.y, &table[j].y);
    }
    if (times_x_squared) {
        fp factor;
        fp_set(&factor, TIMES_X_SQUARED);
        FIELD(mul_fp)(&term.x, &term.x, &factor);
        negative = (lane_mask) ~negative;
    }
    CURVE(negate_y)(&term.y, negative, &term.y);
    CURVE(add_term)(total, &term, (lane_mask) ~lane_is_zero(digit));
}

/* tables[i][j] = (j + 1) q[i] of n groups; returned: the lanes where it is, which all are of points without a multiple of
 * order 1 .. 8. Nothing waits in `round`.
 */
static lane_mask CURVE(make_small_multiples)(CURVE(affine) (*tables)[SMALL_MULTIPLES], const CURVE(affine) *q, int n,
                                             CURVE(round) *round)
{
    lane_mask fine = 0xff;
    for (int i = 0; i < n; i++)
        tables[i][0] = q[i];
    for (int known = 1; known < SMALL_MULTIPLES; known *= 2) {  /* known + 1 .. 2 known: each known and another */
        for (int i = 0; i < n; i++)
            for (int j = 0; j < known; j++)
                CURVE(queue)(round, &tables[i][known + j], &tables[i][known - 1], &tables[i][j], &fine);
        CURVE(run)(round);
    }
    return fine;
}

/* out = sum of the weights of words[j][lane] times the point of tables[j], over n of them, which share doublings */
static void CURVE(weighted_sum)(CURVE(total) *out, const CURVE(affine) (*tables)[SMALL_MULTIPLES],
                                const uint64_t (*words)[LANES], int n)
{
    CURVE(clear_total)(out);
    for (int i = 0; i < NIBBLES; i++) {
        for (int d = 0; d < 4 && out->empty != 0xff; d++)
            CURVE(double)(&out->sum, &out->sum);
        for (int j = 0; j < n; j++) {
            lanes word = lane_load(words[j]);
            int low = 4 * (NIBBLES - 1 - i);
            lanes a = lane_and(lane_shr(word, (unsigned) low), lane_set(15));
            lanes b = lane_and(lane_shr(word, (unsigned) low + 32), lane_set(15));
            CURVE(add_digit_of_weight)(out, tables[j], a, 0);
            CURVE(add_digit_of_weight)(out, tables[j], b, 1);
        }
    }
}
