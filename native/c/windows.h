/* Multiples of points by scalars that differ from lane to lane. Included like curve.h, once for each field.
 *
 * Signed windows of 4 bits: with k' = k + 0x88..8, digit i of k is nibble i of k' less 8, in -8 .. 7. Table
 * entries are chosen by looking at all of them, so neither time nor addresses depend on scalars.
 *
 * Twin in blst: ec_mult.h.
 */

/* table[j] = (j + 1) q */
SHARED void CURVE(make_table)(CURVE(jacobian) table[TABLE], const CURVE(affine) *q)
{
    CURVE(from_affine)(&table[0], q);
    for (int j = 1; j < TABLE; j += 2) {
        CURVE(double)(&table[j], &table[j / 2]);
        if (j + 1 < TABLE)
            CURVE(add_affine)(&table[j + 1], &table[j], q);
    }
}

/* total += digit q; lanes of `empty` are 0 so far. An exception makes Z = 0. */
SHARED void CURVE(add_digit)(CURVE(jacobian) *total, lane_mask *empty, const CURVE(jacobian) table[TABLE], lanes nibble)
{
    CURVE(jacobian) term = table[0], sum;
    lanes digit = lane_sub(nibble, lane_set(TABLE));
    lane_mask negative = lane_negative(digit);
    digit = lane_select(negative, digit, lane_sub(lane_set(0), digit));
    lane_mask zero = lane_is_zero(digit);
    for (int j = 1; j < TABLE; j++)
        CURVE(select)(&term, lane_equal(digit, lane_set(j + 1)), &term, &table[j]);
    CURVE(negate_y)(&term.Y, negative, &term.Y);
    CURVE(add)(&sum, total, &term);
    CURVE(select)(&sum, *empty, &sum, &term);
    CURVE(select)(total, zero, &sum, total);
    *empty &= zero;
}
