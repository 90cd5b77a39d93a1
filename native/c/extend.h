/* Values of polynomials on a curve, for several groups of rows at once. Included like curve.h, once for each field.
 *
 * A polynomial is given by its value and its differences at 0 (Newton): the difference of order o at j + 1 is that of
 * order o at j and that of order o + 1 at j.
 */

/* differences[degree + 1] of each group, and which of its lanes are right; table: of the point that is multiplied */
typedef struct {
    CURVE(multiples_room) multiples;
    lane_mask fine[SPLIT_GROUPS];
    const uint64_t *table[SPLIT_GROUPS];
    CURVE(affine) differences[];
} CURVE(split_room);

/* The differences of order 1 .. degree of n groups by scalars[row * degree + order - 1], of rows `first` .. `last`. */
static void CURVE(multiply_differences)(CURVE(split_room) *r, const uint8_t (*scalars)[32], size_t first, size_t last,
                                        size_t degree, int n)
{
    int waiting = 0;
    for (int g = 0; g < n; g++) {
        for (size_t order = 1; order <= degree; order++) {
            CURVE(product) *product = &r->multiples.products[waiting++];
            product->out = &r->differences[(size_t) g * (degree + 1) + order];
            product->table = r->table[g];
            product->fine = &r->fine[g];
            for (size_t lane = 0; lane < LANES; lane++) {
                size_t row = first + (size_t) g * LANES + lane;
                product->scalar[lane] = scalars[(row < last ? row : last) * degree + order - 1];
            }
            if (waiting == ROUND / SCALAR_PARTS || (g == n - 1 && order == degree)) {
                CURVE(multiply)(&r->multiples, waiting);
                waiting = 0;
            }
        }
    }
}

/* From place j to j + 1: the differences of n groups that the values at the `left` places from there on need. */
static void CURVE(next_place)(CURVE(split_room) *r, size_t degree, size_t left, int n)
{
    for (int g = 0; g < n; g++) {
        CURVE(affine) *of_order = &r->differences[(size_t) g * (degree + 1)];
        for (size_t o = 0; o < degree && o < left; o++)
            CURVE(queue)(&r->multiples.round, &of_order[o], &of_order[o], &of_order[o + 1], &r->fine[g]);
    }
    CURVE(run)(&r->multiples.round);
}
