/* Compressed points of a curve to affine ones. Included like curve.h, once for each field. */

/* n groups of points of the curve from FIELD_BYTES bytes at each offset; decoded[]: the lanes where a point is. Those
 * with x = 0 are left to blst, which takes the two of G1's curve for none, as they are of order 3.
 */
SHARED void CURVE(decode)(CURVE(affine) *out, const uint8_t *base, const lanes *offsets, lane_mask *decoded, int n)
{
    FIELD(element) square[STREAMS], y[STREAMS], b;
    lane_mask larger[STREAMS], found[STREAMS];
    FIELD(set_b)(&b);
    for (int k = 0; k < n; k++) {
        FIELD(element) *x = &out[k].x;
        lanes top = FIELD(load_compressed)(x, base, offsets[k]);
        decoded[k] = is_finite(top) & FIELD(is_coordinate)(x);
        larger[k] = lane_any_bits(top, lane_set(LARGER));
        FIELD(to_montgomery)(x);
        FIELD(sqr)(&square[k], x);
        FIELD(mul)(&square[k], &square[k], x);
        FIELD(add)(&square[k], &square[k], &b);
    }
    FIELD(roots)(y, square, found, n);
    for (int k = 0; k < n; k++) {
        decoded[k] &= found[k];
        CURVE(negate_y)(&out[k].y, FIELD(is_larger)(&y[k]) ^ larger[k], &y[k]);
    }
}

/* decode_g1 or decode_g2 of api.h */
static void CURVE(decode_rows)(uint64_t (*points)[FIELD_BYTES / 4], uint8_t *well, const uint8_t (*rows)[FIELD_BYTES],
                               size_t n, int group)
{
    CURVE(affine) p[STREAMS];
    lanes from[STREAMS];
    lane_mask decoded[STREAMS];
    for (size_t first = 0; first < n; first += STREAMS * LANES) {
        int groups = GROUPS_OF(LEAST(n - first, STREAMS * LANES));
        for (int k = 0; k < groups; k++)
            from[k] = offsets_of(first + k * LANES, n, sizeof *rows);
        CURVE(decode)(p, rows[0], from, decoded, groups);
        for (int k = 0; k < groups; k++) {
            if (group)
                decoded[k] &= CURVE(in_group)(&p[k]);
            CURVE(store)(points, offsets_of(first + k * LANES, n, sizeof *points), &p[k]);
            write_mask(well, first + k * LANES, n, decoded[k]);
        }
    }
    lane_leave();
}
