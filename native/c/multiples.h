/* Multiples by tables of odd multiples. Included like curve.h, once for each field, with
 *
 *   SCALAR_PARTS         a scalar is  n[0] + n[1] e + n[2] e^2 + ...  of so many parts, where e is what CURVE(times_e)
 *                 multiplies by
 *   WINDOW_BITS   a part has WINDOWS windows of so many bits
 *   LANE_WORDS    from a lane's row of a table to that of the next, 0 where they have the same
 *
 * Windows d of b bits stand for the odd digits 2 d + 1 - 2^b: of n, which has windows d, the multiple is
 *
 *     2 n - (2^(b WINDOWS) - 1) (1 + e + e^2 + ...)
 *
 * so that no digit is 0. table[w][j] are the rows of (2 j + 1) 2^(b w) times the point.
 *
 * Twin in blst: multi_scalar.c, `mult_wbits`.
 */

#define POINT_WORDS (2 * FIELD_BYTES / 48 * LIMBS)
#define MULTIPLES (1 << (WINDOW_BITS - 1))
#define ENTRY_WORDS (LANE_WORDS ? LANES * LANE_WORDS : POINT_WORDS)

/* What is to be multiplied by one scalar in each lane; its 32 bytes are the windows of all parts, lowest first. */
typedef struct {
    CURVE(affine) *out;
    const uint64_t *table;
    const uint8_t *scalar[LANES];
    lane_mask *fine;
} CURVE(product);

#define PRODUCTS (ROUND / SCALAR_PARTS)

typedef struct {
    CURVE(round) round;
    CURVE(affine) sums[ROUND], terms[ROUND];
    CURVE(product) products[PRODUCTS];
} CURVE(multiples_room);

INLINE void CURVE(load_rows)(CURVE(affine) *out, const uint64_t *const rows[LANES])
{
    FIELD(load_rows)(&out->x, rows, 0);
    FIELD(load_rows)(&out->y, rows, POINT_WORDS / 2);
}

INLINE void CURVE(store_rows)(uint64_t *const rows[LANES], const CURVE(affine) *a)
{
    FIELD(store_rows)(rows, 0, &a->x);
    FIELD(store_rows)(rows, POINT_WORDS / 2, &a->y);
}

/* out = the multiple that window w of a part of the scalars stands for */
SHARED void CURVE(look_up)(CURVE(affine) *out, const CURVE(product) *product, int part, int w)
{
    const uint64_t *entries = product->table + (size_t) w * MULTIPLES * ENTRY_WORDS;
    const uint64_t *rows[LANES];
    lane_mask negative = 0;
    int bit = (part * WINDOWS + w) * WINDOW_BITS;
    for (int lane = 0; lane < LANES; lane++) {
        int window = product->scalar[lane][bit / 8] >> bit % 8 & (2 * MULTIPLES - 1);
        int below = window < MULTIPLES;
        negative |= (lane_mask) (below << lane);
        rows[lane] = entries + (below ? MULTIPLES - 1 - window : window - MULTIPLES) * ENTRY_WORDS
                     + lane * LANE_WORDS;
    }
    CURVE(load_rows)(out, rows);
    CURVE(negate_y)(&out->y, negative, &out->y);
}

/* Does the first n products of the room. */
static void CURVE(multiply)(CURVE(multiples_room) *room, int n)
{
    const CURVE(product) *products = room->products;
    CURVE(affine) *sums = room->sums, *terms = room->terms;
    for (int w = 0; w < WINDOWS; w++) {
        for (int i = 0; i < n * SCALAR_PARTS; i++) {
            CURVE(look_up)(w ? &terms[i] : &sums[i], &products[i / SCALAR_PARTS], i % SCALAR_PARTS, w);
            if (w)
                CURVE(queue)(&room->round, &sums[i], &sums[i], &terms[i], products[i / SCALAR_PARTS].fine);
        }
        if (w)
            CURVE(run)(&room->round);
    }
    for (int part = SCALAR_PARTS - 1; part > 0; part--) {
        for (int i = 0; i < n; i++) {
            CURVE(affine) *above = &sums[i * SCALAR_PARTS + part], *below = above - 1;
            CURVE(times_e)(above);
            CURVE(queue)(&room->round, part > 1 ? below : products[i].out, below, above, products[i].fine);
        }
        CURVE(run)(&room->round);
    }
}

#undef POINT_WORDS
#undef MULTIPLES
#undef ENTRY_WORDS
#undef PRODUCTS
