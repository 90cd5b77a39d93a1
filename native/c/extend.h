/* From the values of a polynomial on a curve to more of them, and to affine coordinates. Included like curve.h,
 * once for each field.
 */

/* values[0 .. k] from values[0 .. degree]: the differences of order `degree` are all the same. `room`: 2 (degree + 1)
 * points. An exception makes Z = 0 of some value.
 */
static void CURVE(extend)(CURVE(jacobian) *values, CURVE(jacobian) *room, size_t degree, size_t k)
{
    CURVE(jacobian) *differences = room, *last = room + degree + 1;  /* last[i]: of order i, at the last known place */
    for (size_t j = 0; j <= degree; j++)
        differences[j] = values[j];
    last[0] = values[degree];
    for (size_t order = 1; order <= degree; order++) {
        for (size_t j = degree; j >= order; j--) {
            CURVE(jacobian) minus = differences[j - 1];
            CURVE(negate_y)(&minus.Y, 0xff, &minus.Y);
            CURVE(add)(&differences[j], &differences[j], &minus);
        }
        last[order] = differences[degree];
    }
    for (size_t j = degree + 1; j <= k; j++) {
        for (size_t order = degree; order > 0; order--)
            CURVE(add)(&last[order - 1], &last[order - 1], &last[order]);
        values[j] = last[0];
    }
}

/* Writes values[1 .. k] of a group of rows to out[row][k]; returned: the lanes without an exception. */
static lane_mask CURVE(store_values)(char *out, lanes offsets, const CURVE(jacobian) *values, CURVE(affine) *room,
                                     size_t k)
{
    lane_mask zero[GROUPS], any = 0;
    for (size_t first = 0; first < k; first += GROUPS) {
        size_t size = k - first < GROUPS ? k - first : GROUPS;
        CURVE(to_affine)(room, values + 1 + first, zero, (int) size);
        for (size_t j = 0; j < size; j++) {
            any |= zero[j];
            CURVE(store)(out + (first + j) * 2 * FIELD_BYTES, offsets, &room[j]);
        }
    }
    return (lane_mask) ~any;
}
