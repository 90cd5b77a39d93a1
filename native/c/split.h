/* The multiples of a split for oracles: of the generator of G1, from a table, and of a row's hash in G2. Both take time
 * and addresses from their scalars, which are masks that are used once.
 *
 * All is affine: several groups of eight rows do their additions in rounds that share an inversion.
 */
#pragma once
#include "points.h"

/* Groups of eight rows that are split together: more would share inversions better, but not stay in the cache. */
#define G1_SPLIT 4
#define G2_SPLIT 2
#define WINDOWS 16

#define FIELD(name) fp_##name
#define CURVE(name) g1_##name
#define FIELD_BYTES 48
#define SCALAR_PARTS 2
#define SPLIT_GROUPS G1_SPLIT
#define WINDOW_BITS 8
#define LANE_WORDS 0

/* out = x^2 p = -phi(p) */
INLINE void g1_times_e(g1_affine *p)
{
    fp beta;
    fp_set(&beta, BETA);
    fp_mul(&p->x, &p->x, &beta);
    fp_negate(&p->y, &p->y, P_8);
}

#include "multiples.h"
#include "extend.h"
#undef FIELD
#undef CURVE
#undef FIELD_BYTES
#undef SCALAR_PARTS
#undef SPLIT_GROUPS
#undef WINDOW_BITS
#undef LANE_WORDS

#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#define FIELD_BYTES 96
#define SCALAR_PARTS 4
#define SPLIT_GROUPS G2_SPLIT
#define WINDOW_BITS 4
#define LANE_WORDS 32

/* out = |x| p = -psi(p) */
INLINE void g2_times_e(g2_affine *p)
{
    psi_x(&p->x, &p->x);
    psi_y(&p->y, &p->y);
    fp2_negate(&p->y, &p->y, P_4);
}

#include "multiples.h"
#include "extend.h"

/* The odd multiples of a hash and of its doublings. */
typedef uint64_t hash_table[WINDOWS][1 << (WINDOW_BITS - 1)][LANES][LANE_WORDS];

/* base[w], twice[w] = 2^(4 w) q, 2^(4 w + 1) q; returned: the lanes where they are right. `room`: WINDOWS points twice. */
SHARED lane_mask double_windows(g2_affine *base, g2_affine *twice, const g2_affine *q, g2_jacobian *room)
{
    lane_mask zero[2 * WINDOWS], any = 0;
    g2_from_affine(&room[0], q);
    for (int w = 0; w < WINDOWS; w++) {
        g2_double(&room[WINDOWS + w], &room[w]);
        if (w < WINDOWS - 1) {
            g2_double(&room[w + 1], &room[WINDOWS + w]);
            for (int d = 2; d < WINDOW_BITS; d++)
                g2_double(&room[w + 1], &room[w + 1]);
        }
    }
    g2_to_affine(base, room, zero, WINDOWS);
    g2_to_affine(twice, room + WINDOWS, zero + WINDOWS, WINDOWS);
    for (int i = 0; i < 2 * WINDOWS; i++)
        any |= zero[i];
    return (lane_mask) ~any;
}

/* What a split needs in G2, beside the differences. */
typedef struct {
    hash_table tables[G2_SPLIT];
    g2_affine hashes[G2_SPLIT];
    g2_jacobian chain[2 * WINDOWS];
    g2_split_room split;
} split_hash_room;

_Static_assert(G2_SPLIT * WINDOWS <= ROUND, "a round has no room for the windows of all hashes");

static void store_multiples(hash_table *tables, int j, const g2_affine *multiples, int n)
{
    for (int i = 0; i < n * WINDOWS; i++) {
        uint64_t *rows[LANES];
        for (int lane = 0; lane < LANES; lane++)
            rows[lane] = tables[i / WINDOWS][i % WINDOWS][j][lane];
        g2_store_rows(rows, &multiples[i]);
    }
}

/* The tables of n hashes. */
static void make_hash_tables(split_hash_room *r, int n)
{
    g2_multiples_room *room = &r->split.multiples;
    g2_affine *multiples = room->sums, *twice = room->terms;
    for (int g = 0; g < n; g++)
        r->split.fine[g] &= double_windows(&multiples[g * WINDOWS], &twice[g * WINDOWS], &r->hashes[g], r->chain);
    store_multiples(r->tables, 0, multiples, n);
    for (int j = 1; j < 1 << (WINDOW_BITS - 1); j++) {
        for (int i = 0; i < n * WINDOWS; i++)
            g2_queue(&room->round, &multiples[i], &multiples[i], &twice[i], &r->split.fine[i / WINDOWS]);
        g2_run(&room->round);
        store_multiples(r->tables, j, multiples, n);
    }
}

#undef FIELD
#undef CURVE
#undef FIELD_BYTES
#undef SCALAR_PARTS
#undef SPLIT_GROUPS
#undef WINDOW_BITS
#undef LANE_WORDS
