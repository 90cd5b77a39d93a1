/* Weighted sums of many points of G2 (Pippenger): a lane has a window of the weights here, not a point.
 *
 * A weight of at most 2^63 is 8 signed digits of 8 bits, -127 .. 128. Each lane adds the point to the bucket of its
 * window's digit; the sum of d times bucket d comes from running sums.
 */
#pragma once
#include "points.h"

#define DIGIT_BITS 8
#define DIGITS 8
#define BUCKETS 129  /* of digits 1 .. 128; bucket 0 takes what is in none */
#define POINT_LIMBS (6 * LIMBS)

typedef struct {
    uint64_t bucket[DIGITS][BUCKETS][POINT_LIMBS];
    uint8_t used[DIGITS][BUCKETS];
} bucket_room;

/* Of the coordinates of a point, in the order of a bucket. */
#define PARTS(p) {&(p)->X.c0, &(p)->X.c1, &(p)->Y.c0, &(p)->Y.c1, &(p)->Z.c0, &(p)->Z.c1}

INLINE void load_point(g2_jacobian *out, const void *buckets, lanes offsets)
{
    fp *parts[6] = PARTS(out);
    for (int k = 0; k < 6; k++) {
        EACH_LIMB parts[k]->limb[j] = lane_gather((const uint64_t *) buckets + k * LIMBS + j, offsets);
        fp_claim(parts[k], k < 2 ? 70 : 64);
    }
}

INLINE void store_point(void *buckets, lanes offsets, const g2_jacobian *p)
{
    const fp *parts[6] = PARTS(p);
    for (int k = 0; k < 6; k++)
        EACH_LIMB lane_scatter((uint64_t *) buckets + k * LIMBS + j, offsets, parts[k]->limb[j]);
}

/* out = the element of one lane, in all */
INLINE void spread(fp *out, const fp *a, int lane)
{
    EACH_LIMB {
        uint64_t words[LANES];
        lane_store(words, a->limb[j]);
        out->limb[j] = lane_set(words[lane]);
    }
#ifdef LANES_CHECKED
    out->bound = a->bound;
#endif
}

INLINE uint64_t bucket_offset(int window, int bucket)
{
    return (uint64_t) (window * BUCKETS + bucket) * POINT_LIMBS * sizeof(uint64_t);
}

/* The point of one lane of q, times its weight, into the buckets. */
SHARED void add_to_buckets(bucket_room *room, const g2_affine *q, int lane, uint64_t weight)
{
    uint64_t offsets[LANES];
    lane_mask negative = 0, unused = 0;
    g2_affine point;
    g2_jacobian sum, own;
    int carry_in = 0;
    for (int w = 0; w < DIGITS; w++) {
        int digit = (int) (weight >> (DIGIT_BITS * w) & 0xff) + carry_in;
        carry_in = digit > 128;
        digit -= carry_in << DIGIT_BITS;
        int bucket = digit < 0 ? -digit : digit;
        negative |= (lane_mask) ((digit < 0) << w);
        unused |= (lane_mask) (!room->used[w][bucket] << w);
        room->used[w][bucket] = bucket != 0;
        offsets[w] = bucket_offset(w, bucket);
    }
    spread(&point.x.c0, &q->x.c0, lane);
    spread(&point.x.c1, &q->x.c1, lane);
    spread(&point.y.c0, &q->y.c0, lane);
    spread(&point.y.c1, &q->y.c1, lane);
    g2_negate_y(&point.y, negative, &point.y);
    g2_from_affine(&own, &point);
    if (unused != 0xff) {
        load_point(&sum, room->bucket, lane_load(offsets));
        g2_add_affine(&sum, &sum, &point);
        g2_select(&own, unused, &sum, &own);
    }
    store_point(room->bucket, lane_load(offsets), &own);
}

/* out = in each lane the sum of d times bucket d; returned: the lanes where no bucket is used */
SHARED lane_mask sum_of_buckets(g2_jacobian *out, const bucket_room *room)
{
    g2_jacobian running, bucket, sum;
    lane_mask none = 0xff, empty = 0xff, same = 0;  /* none: `running` is 0; empty: `out` is; same: both are equal */
    for (int d = BUCKETS - 1; d > 0; d--) {
        uint64_t offsets[LANES];
        lane_mask used = 0;
        for (int w = 0; w < DIGITS; w++) {
            used |= (lane_mask) (room->used[w][d] << w);
            offsets[w] = bucket_offset(w, room->used[w][d] ? d : 0);
        }
        if (used) {
            load_point(&bucket, room->bucket, lane_load(offsets));
            if (none == 0xff)
                running = bucket;
            g2_add(&sum, &running, &bucket);
            g2_select(&sum, none, &sum, &bucket);
            g2_select(&running, used, &running, &sum);
        }
        none &= (lane_mask) ~used;
        if (none == 0xff)
            continue;
        if (empty == 0xff)
            *out = running;
        g2_add(&sum, out, &running);
        lane_mask twice = same & (lane_mask) ~used;
        if (twice) {
            g2_double(&bucket, &running);
            g2_select(&sum, twice, &sum, &bucket);
        }
        g2_select(&sum, empty, &sum, &running);
        g2_select(out, none, &sum, out);
        same = empty & (lane_mask) ~none;
        empty &= none;
    }
    return empty;
}

/* out = 2^(8 lane) out in each lane */
SHARED void shift_windows(g2_jacobian *out)
{
    g2_jacobian doubled;
    for (int i = 0; i < DIGIT_BITS * (DIGITS - 1); i++) {
        g2_double(&doubled, out);
        g2_select(out, (lane_mask) (0xff << (i / DIGIT_BITS + 1)), out, &doubled);
    }
}
