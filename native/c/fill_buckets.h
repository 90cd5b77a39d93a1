/* Sorting points of a curve into buckets by the bytes of their words: here a lane has a window, not a point. Included
 * like curve.h, once for each field, with
 *
 *   DIGIT_BIAS   a byte stands for the digit that is so much less
 *   BUCKETS      more than the largest absolute value of a digit
 *   BLOCK        points that wait for their buckets together
 *   TOGETHER     additions of a lane that share an inversion, at most ROUND
 *
 * In window w, bucket d is the sum of the points whose word has the digit d there, less that of those with -d. Bucket 0 is
 * of lanes that have nothing to add.
 *
 * Twin in blst: multi_scalar.c, Pippenger's sums.
 */

#define COORDINATE (FIELD_BYTES / 48 * LIMBS)

typedef struct {
    CURVE(round) round;
    CURVE(affine) bucket_points[TOGETHER], own_points[TOGETHER];
    uint64_t bucket[DIGITS][BUCKETS][2 * COORDINATE];
    uint64_t point[BLOCK][3 * COORDINATE];  /* x, y, -y */
    int16_t digit[DIGITS][BLOCK];
    uint8_t used[DIGITS][BUCKETS];
    uint16_t waiting[DIGITS][BLOCK];
    int n_waiting[DIGITS];
    uint64_t *to[TOGETHER][LANES];
    const uint64_t *x[TOGETHER][LANES], *y[TOGETHER][LANES];
    lane_mask idle[TOGETHER], fine[TOGETHER];
} CURVE(bucket_room);

static void CURVE(load_point)(CURVE(affine) *out, const uint64_t *const from[LANES])
{
    FIELD(load_rows)(&out->x, from, 0);
    FIELD(load_rows)(&out->y, from, COORDINATE);
}

static void CURVE(store_point)(uint64_t *const to[LANES], const CURVE(affine) *q)
{
    FIELD(store_rows)(to, 0, &q->x);
    FIELD(store_rows)(to, COORDINATE, &q->y);
}

static void CURVE(open_buckets)(CURVE(bucket_room) *r)
{
    r->round.n = 0;
    memset(r->used, 0, sizeof r->used);
    for (int w = 0; w < DIGITS; w++)
        memset(r->bucket[w][0], 0, sizeof r->bucket[w][0]);
}

/* Points first .. first + 7 of the block */
static void CURVE(put_points)(CURVE(bucket_room) *r, const CURVE(affine) *q, int first)
{
    uint64_t *to[LANES];
    FIELD(element) minus;
    for (int lane = 0; lane < LANES; lane++)
        to[lane] = r->point[first + lane];
    CURVE(store_point)(to, q);
    FIELD(negate)(&minus, &q->y, P_4);
    FIELD(store_rows)(to, 2 * COORDINATE, &minus);
}

/* All n points of the block wait in each window where they have a digit. */
static void CURVE(put_words)(CURVE(bucket_room) *r, const uint64_t *words, int n)
{
    for (int w = 0; w < DIGITS; w++) {
        int waiting = 0;
        for (int i = 0; i < n; i++) {
            r->digit[w][i] = (int16_t) ((int) (words[i] >> (DIGIT_BITS * w) & 0xff) - DIGIT_BIAS);
            r->waiting[w][waiting] = (uint16_t) i;
            waiting += r->digit[w][i] != 0;
        }
        r->n_waiting[w] = waiting;
    }
}

/* Takes the next additions of window w, of which no two have one bucket; their number. A bucket's first point is it. */
static int CURVE(take_additions)(CURVE(bucket_room) *r, int w)
{
    uint8_t taken[BUCKETS] = {0};
    int n = 0, left = 0;
    for (int i = 0; i < r->n_waiting[w]; i++) {
        if (n == TOGETHER) {
            memmove(r->waiting[w] + left, r->waiting[w] + i, (size_t) (r->n_waiting[w] - i) * sizeof r->waiting[w][0]);
            left += r->n_waiting[w] - i;
            break;
        }
        int point = r->waiting[w][i], digit = r->digit[w][point], bucket = digit < 0 ? -digit : digit;
        const uint64_t *x = r->point[point], *y = x + (digit < 0 ? 2 * COORDINATE : COORDINATE);
        if (!r->used[w][bucket]) {
            memcpy(r->bucket[w][bucket], x, COORDINATE * sizeof *x);
            memcpy(r->bucket[w][bucket] + COORDINATE, y, COORDINATE * sizeof *y);
            r->used[w][bucket] = 1;
        } else if (taken[bucket]) {
            r->waiting[w][left++] = (uint16_t) point;
        } else {
            taken[bucket] = 1;
            r->to[n][w] = r->bucket[w][bucket];
            r->x[n][w] = x;
            r->y[n][w] = y;
            r->idle[n] &= (lane_mask) ~(1 << w);
            n++;
        }
    }
    r->n_waiting[w] = left;
    return n;
}

/* Adds what can be added at once; its number in the window with the most. An exception sets its lane in failed. */
static int CURVE(add_waiting)(CURVE(bucket_room) *r, lane_mask *failed)
{
    int most = 0;
    for (int i = 0; i < TOGETHER; i++) {
        r->idle[i] = 0xff;
        for (int w = 0; w < DIGITS; w++) {
            r->to[i][w] = r->bucket[w][0];
            r->x[i][w] = r->y[i][w] = r->point[0];
        }
    }
    for (int w = 0; w < DIGITS; w++) {
        int n = CURVE(take_additions)(r, w);
        most = n > most ? n : most;
    }
    for (int i = 0; i < most; i++) {
        CURVE(load_point)(&r->bucket_points[i], (const uint64_t *const *) r->to[i]);
        FIELD(load_rows)(&r->own_points[i].x, r->x[i], 0);
        FIELD(load_rows)(&r->own_points[i].y, r->y[i], 0);
        r->fine[i] = 0xff;
        CURVE(queue)(&r->round, &r->bucket_points[i], &r->bucket_points[i], &r->own_points[i], &r->fine[i]);
    }
    if (most)
        CURVE(run)(&r->round);
    for (int i = 0; i < most; i++) {
        *failed |= (lane_mask) ~(r->fine[i] | r->idle[i]);
        CURVE(store_point)(r->to[i], &r->bucket_points[i]);
    }
    return most;
}

/* All points of words by their bytes; returned: the lanes where it is done. */
static lane_mask CURVE(fill_buckets)(CURVE(bucket_room) *r, const uint64_t (*points)[FIELD_BYTES / 4],
                                     const uint64_t *words, size_t n)
{
    lane_mask failed = 0;
    CURVE(open_buckets)(r);
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t size = LEAST(n - first, BLOCK);
        for (size_t i = 0; i < size; i += LANES) {
            CURVE(affine) q;
            CURVE(load)(&q, points, offsets_of(first + i, n, sizeof *points));
            CURVE(put_points)(r, &q, (int) i);
        }
        CURVE(put_words)(r, words + first, (int) size);
        while (CURVE(add_waiting)(r, &failed)) {}
    }
    return (lane_mask) ~failed;
}

/* The points of bucket d; returned: the windows that have one. In the others it is bucket 0. */
INLINE lane_mask CURVE(load_bucket)(CURVE(affine) *out, const CURVE(bucket_room) *r, int d)
{
    const uint64_t *from[LANES];
    lane_mask present = 0;
    for (int w = 0; w < DIGITS; w++) {
        present |= (lane_mask) (r->used[w][d] << w);
        from[w] = r->bucket[w][r->used[w][d] ? d : 0];
    }
    CURVE(load_point)(out, from);
    return present;
}

#undef COORDINATE
