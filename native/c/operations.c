/* The operations of api.h. Rows go in groups of eight; the last group is filled up with its last row. */
#include "api.h"
#include "buckets.h"
#include "comb.h"
#include "decode.h"
#include "interpolate.h"
#include "map.h"
#include "multiply.h"
#include "pairing.h"
#include "rows.h"
#include "split.h"
#include "values.h"
#include "weights.h"

#ifdef LANES_CHECKED
#define BUILD lanes_checked
#define NAME "checked"
static uint64_t checks(void) { return lane_checks; }
#else
#define BUILD lanes_ifma
#define NAME "ifma"
static uint64_t checks(void) { return 0; }
#endif

#define GROUP_ROWS (GROUPS * LANES)
#define LARGEST(a, b) ((a) > (b) ? (a) : (b))

typedef union {
    struct { g2_jacobian p[GROUPS]; g2_affine q[GROUPS]; } g2;
    hash_room hash;
    struct { g1_round round; g1_jacobian p[GROUPS]; g1_affine q[GROUPS], tables[GROUPS][SMALL_MULTIPLES]; } g1_weighted;
    struct {
        g2_round round;
        g2_affine q[LANES_SUMMED], tables[LANES_SUMMED][SMALL_MULTIPLES];
        uint64_t words[LANES_SUMMED][LANES];
    } g2_weighted;
    miller_room miller;
    struct { g2_bucket_room windows; divided sums[2]; } buckets;
    struct { g1_bucket_room windows; divided_by_16 sums; } g1_buckets;
    struct { g1_round round; g1_affine p[ROUND], q[ROUND]; } g1_sums;
    comb_room comb;
    values_room values;
} room;

/* What interpolation needs beside g2: the group's shares, then the table. */
typedef struct { room first; g2_affine shares[]; } interpolation_room;

static size_t most_shares(const lanes_plan *plan)
{
    return plan->scale && plan->scale->shares > plan->shares ? plan->scale->shares : plan->shares;
}

static size_t scratch_bytes(const lanes_plan *plan, size_t k)
{
    size_t most = sizeof(room);
    if (plan)
        most += most_shares(plan) * sizeof(g2_affine) + table_points(plan) * sizeof(g2_jacobian);
    if (k)
        most = LARGEST(most, LARGEST(sizeof(g1_split_room) + G1_SPLIT * k * sizeof(g1_affine),
                                     sizeof(split_hash_room) + G2_SPLIT * k * sizeof(g2_affine)));
    return most;
}

static void in_g1(uint8_t *well, const uint64_t (*points)[12], size_t n)
{
    for (size_t first = 0; first < n; first += LANES) {
        g1_affine q;
        g1_load(&q, points, offsets_of(first, n, sizeof *points));
        write_mask(well, first, n, g1_in_group(&q));
    }
    lane_leave();
}

static void in_g2(uint8_t *well, const uint64_t (*points)[24], size_t n)
{
    for (size_t first = 0; first < n; first += LANES) {
        g2_affine q;
        g2_load(&q, points, offsets_of(first, n, sizeof *points));
        write_mask(well, first, n, g2_in_group(&q));
    }
    lane_leave();
}

/* Normalises and writes the groups of rows first .. first + size - 1. */
static void store_g2(uint64_t (*out)[24], uint8_t *well, const g2_jacobian *p, g2_affine *q, size_t first, size_t size,
                     size_t n)
{
    lane_mask zero[GROUPS];
    int groups = GROUPS_OF(size);
    g2_to_affine(q, p, zero, groups);
    for (int k = 0; k < groups; k++) {
        g2_store(out, offsets_of(first + k * LANES, n, sizeof *out), &q[k]);
        write_mask(well, first + k * LANES, n, (lane_mask) ~zero[k]);
    }
}

static void hash_groups(uint64_t (*points)[24], uint8_t *well, const uint8_t (*uniform)[256], size_t n, void *scratch)
{
    room *r = scratch;
    for (size_t first = 0; first < n; first += GROUP_ROWS) {
        size_t size = LEAST(n - first, GROUP_ROWS);
        for (int k = 0; k < GROUPS_OF(size); k++)
            map_uniform(&r->hash, 2 * k, uniform[0], offsets_of(first + k * LANES, n, sizeof *uniform));
        add_mapped(&r->hash, GROUPS_OF(size));
        clear_cofactors(&r->hash, GROUPS_OF(size));
        store_g2(points, well, r->hash.p, r->hash.q, first, size, n);
    }
    lane_leave();
}

static void interpolate_groups(uint64_t (*out)[24], uint8_t *well, const uint64_t (*shares)[24], size_t n,
                               const lanes_plan *plan, void *scratch)
{
    interpolation_room *r = scratch;
    g2_jacobian *table = (g2_jacobian *) (r->shares + most_shares(plan));
    size_t row_bytes = plan->shares * sizeof *shares;
    for (size_t first = 0; first < n; first += GROUP_ROWS) {
        size_t size = LEAST(n - first, GROUP_ROWS);
        for (int k = 0; k < GROUPS_OF(size); k++) {
            for (size_t j = 0; j < plan->shares; j++)
                g2_load(&r->shares[j], shares + j, offsets_of(first + k * LANES, n, row_bytes));
            interpolate(&r->first.g2.p[k], r->shares, plan, table);
            if (plan->scale) {
                lane_mask zero;
                g2_to_affine(r->shares, &r->first.g2.p[k], &zero, 1);
                interpolate(&r->first.g2.p[k], r->shares, plan->scale, table);
                g2_set_zero(&r->first.g2.p[k], zero);
            }
        }
        store_g2(out, well, r->first.g2.p, r->first.g2.q, first, size, n);
    }
    lane_leave();
}

/* The values of eight rows, one word each. */
static void lane_words(uint64_t out[LANES], const uint64_t *words, size_t first, size_t n)
{
    for (size_t lane = 0; lane < LANES; lane++)
        out[lane] = words[LEAST(first + lane, n - 1)];
}

static void weight_g1(uint64_t (*out)[12], uint8_t *well, const uint64_t (*points)[12], const uint64_t *words,
                      size_t n, void *scratch)
{
    room *r = scratch;
    lane_mask zero[GROUPS];
    uint64_t own[1][LANES];
    g1_total total;
    r->g1_weighted.round.n = 0;
    for (size_t first = 0; first < n; first += GROUP_ROWS) {
        int groups = GROUPS_OF(LEAST(n - first, GROUP_ROWS));
        for (int j = 0; j < groups; j++)
            g1_load(&r->g1_weighted.q[j], points, offsets_of(first + j * LANES, n, sizeof *points));
        lane_mask fine = g1_make_small_multiples(r->g1_weighted.tables, r->g1_weighted.q, groups,
                                                 &r->g1_weighted.round);
        for (int j = 0; j < groups; j++) {
            lane_words(own[0], words, first + j * LANES, n);
            g1_weighted_sum(&total, &r->g1_weighted.tables[j], own, 1);
            r->g1_weighted.p[j] = total.sum;
        }
        g1_to_affine(r->g1_weighted.q, r->g1_weighted.p, zero, groups);
        for (int j = 0; j < groups; j++) {
            g1_store(out, offsets_of(first + j * LANES, n, sizeof *out), &r->g1_weighted.q[j]);
            write_mask(well, first + j * LANES, n, fine & (lane_mask) ~zero[j]);
        }
    }
    lane_leave();
}

static void multiply_g2(uint64_t (*out)[24], uint8_t *well, const uint64_t (*points)[24],
                        const uint64_t (*scalars)[4], size_t n, void *scratch)
{
    room *r = scratch;
    uint64_t k[LANES][4];
    for (size_t first = 0; first < n; first += GROUP_ROWS) {
        size_t size = LEAST(n - first, GROUP_ROWS);
        for (int j = 0; j < GROUPS_OF(size); j++) {
            g2_load(&r->g2.q[j], points, offsets_of(first + j * LANES, n, sizeof *points));
            for (size_t lane = 0; lane < LANES; lane++)
                memcpy(k[lane], scalars[LEAST(first + j * LANES + lane, n - 1)], sizeof k[lane]);
            g2_multiply_secret(&r->g2.p[j], &r->g2.q[j], k);
        }
        store_g2(out, well, r->g2.p, r->g2.q, first, size, n);
    }
    wipe(k, sizeof k);
    lane_leave();
}

static void miller(uint64_t (*out)[72], uint8_t *well, const uint64_t (*p)[12], const uint64_t (*q)[24], size_t n,
                   size_t group, void *scratch)
{
    miller_room *r = &((room *) scratch)->miller;
    size_t sides = (n + group - 1) / group, together = LEAST(VALUES, PAIRS / group) * LANES;
    for (size_t first = 0; first < sides; first += together) {
        r->n = GROUPS_OF(LEAST(sides - first, together));
        r->group = (int) group;
        for (int k = 0; k < r->n * r->group; k++) {
            uint64_t p_offsets[LANES], q_offsets[LANES];
            r->active[k] = 0;
            for (size_t lane = 0; lane < LANES; lane++) {
                size_t side = first + (size_t) (k / r->group) * LANES + lane;
                size_t row = LEAST(side, sides - 1) * group + (size_t) (k % r->group);
                r->active[k] |= (lane_mask) ((row < n) << lane);
                row = LEAST(row, n - 1);
                p_offsets[lane] = row * sizeof *p;
                q_offsets[lane] = row * sizeof *q;
            }
            g1_load(&r->pair[k].p, p, lane_load(p_offsets));
            g2_load(&r->pair[k].q, q, lane_load(q_offsets));
        }
        miller_loops(r);
        for (int i = 0; i < r->n; i++) {
            lanes offsets = offsets_of(first + (size_t) i * LANES, sides, sizeof *out);
            lane_mask zero = 0;
            for (int k = 0; k < r->group; k++)
                zero |= r->zero[i * r->group + k];
            for (int k = 0; k < 6; k++) {
                fp_store((char *) out + 96 * k, offsets, &r->f[i]->c[k].c0);
                fp_store((char *) out + 96 * k + 48, offsets, &r->f[i]->c[k].c1);
            }
            write_mask(well, first + (size_t) i * LANES, sides, (lane_mask) ~zero);
        }
    }
    lane_leave();
}

/* Writes eight sums, 0 for an empty one; returned: the lanes that are well. */
static lane_mask store_sums(uint64_t (*sums)[36], g2_total *total)
{
    lane_mask well = total->empty | (lane_mask) ~fp2_is_zero(&total->sum.Z);
    fp2 zero;
    fp_clear(&zero.c0);
    fp_clear(&zero.c1);
    fp2_select(&total->sum.Z, total->empty, &total->sum.Z, &zero);
    lanes offsets = offsets_of(0, LANES, sizeof *sums);
    fp2_store(sums, offsets, &total->sum.X);
    fp2_store((char *) sums + 96, offsets, &total->sum.Y);
    fp2_store((char *) sums + 192, offsets, &total->sum.Z);
    return well;
}

static void weighted_sums(uint64_t (*sums)[36], uint8_t *well, const uint64_t (*points)[24], const uint64_t *words,
                          size_t n, size_t group, void *scratch)
{
    room *r = scratch;
    g2_total total;
    for (size_t k = 0; k < group; k++) {
        uint64_t offsets[LANES];
        for (size_t lane = 0; lane < LANES; lane++) {
            size_t row = lane * group + k;
            offsets[lane] = LEAST(row, n - 1) * sizeof *points;
            r->g2_weighted.words[k][lane] = row < n ? words[row] : ZERO_WEIGHT;
        }
        g2_load(&r->g2_weighted.q[k], points, lane_load(offsets));
    }
    r->g2_weighted.round.n = 0;
    lane_mask fine = g2_make_small_multiples(r->g2_weighted.tables, r->g2_weighted.q, (int) group,
                                             &r->g2_weighted.round);
    g2_weighted_sum(&total, r->g2_weighted.tables, r->g2_weighted.words, (int) group);
    write_mask(well, 0, LANES, store_sums(sums, &total) & fine);
    lane_leave();
}

static int sum_by_buckets(uint64_t (*sums)[36], int *in_group, const uint64_t (*points)[24], const uint64_t *words,
                          size_t n, void *scratch)
{
    g2_bucket_room *r = &((room *) scratch)->buckets.windows;
    g2_total F[FUNCTIONS], total;
    lane_mask fine = g2_fill_buckets(r, points, words, n);
    sums_of_buckets(F, r, ((room *) scratch)->buckets.sums);
    *in_group = sums_in_group(F);
    join_windows(&total, F);
    fine &= store_sums(sums, &total);
    lane_leave();
    return fine == 0xff;
}

static int sum_g1(uint64_t (*sums)[18], const uint64_t (*points)[12], const uint64_t *words, size_t n, void *scratch)
{
    room *r = scratch;
    g1_total total;
    fp zero;
    lane_mask fine = g1_fill_buckets(&r->g1_buckets.windows, points, words, n);
    sum_of_buckets(&total, &r->g1_buckets.windows, &r->g1_buckets.sums);
    fine &= total.empty | (lane_mask) ~fp_is_zero(&total.sum.Z);
    fp_clear(&zero);
    fp_select(&total.sum.Z, total.empty, &total.sum.Z, &zero);
    lanes offsets = offsets_of(0, LANES, sizeof *sums);
    fp_store(sums, offsets, &total.sum.X);
    fp_store((char *) sums + 48, offsets, &total.sum.Y);
    fp_store((char *) sums + 96, offsets, &total.sum.Z);
    lane_leave();
    return fine == 0xff;
}

static void add_g1(uint64_t (*totals)[12], uint8_t *well, const uint64_t (*terms)[12], size_t n, void *scratch)
{
    room *r = scratch;
    lane_mask fine[ROUND];
    r->g1_sums.round.n = 0;
    for (size_t first = 0; first < n; first += ROUND * LANES) {
        int groups = GROUPS_OF(LEAST(n - first, ROUND * LANES));
        for (int j = 0; j < groups; j++) {
            lanes offsets = offsets_of(first + j * LANES, n, sizeof *totals);
            g1_load(&r->g1_sums.p[j], totals, offsets);
            g1_load(&r->g1_sums.q[j], terms, offsets);
            fine[j] = 0xff;
            g1_queue(&r->g1_sums.round, &r->g1_sums.q[j], &r->g1_sums.p[j], &r->g1_sums.q[j], &fine[j]);
        }
        g1_run(&r->g1_sums.round);
        for (int j = 0; j < groups; j++) {
            g1_affine *sum = &r->g1_sums.q[j], *own = &r->g1_sums.p[j];
            lanes offsets = offsets_of(first + j * LANES, n, sizeof *totals);
            fp_select(&sum->x, fine[j], &own->x, &sum->x);
            fp_select(&sum->y, fine[j], &own->y, &sum->y);
            g1_store(totals, offsets, sum);
            write_mask(well, first + j * LANES, n, fine[j]);
        }
    }
    lane_leave();
}

static void values_g1(uint64_t (*out)[12], uint8_t *well, const uint64_t (*points)[12], size_t n, size_t t, size_t count,
                      void *scratch)
{
    values_room *r = &((room *) scratch)->values;
    if (t > DIFFERENCES) {
        memset(well, 0, n);
        return;
    }
    size_t together = LEAST(GROUPS, DIFFERENCES / t) * LANES;
    r->round.n = 0;
    for (size_t first = 0; first < n; first += together) {
        int groups = GROUPS_OF(LEAST(n - first, together));
        for (int g = 0; g < groups; g++) {
            lanes offsets = offsets_of(first + (size_t) g * LANES, n, t * sizeof *points);
            for (size_t k = 0; k < t; k++)
                g1_load(&r->differences[k * (size_t) groups + (size_t) g], points + k, offsets);
            r->fine[g] = 0xff;
        }
        make_differences(r, t - 1, groups);
        for (size_t j = 0; j < count; j++) {
            to_next_place(r, t - 1, count - j, groups);
            for (int g = 0; g < groups; g++)
                g1_store(out + j, offsets_of(first + (size_t) g * LANES, n, count * sizeof *out), &r->differences[g]);
        }
        for (int g = 0; g < groups; g++)
            write_mask(well, first + (size_t) g * LANES, n, r->fine[g]);
    }
    lane_leave();
}

static void multiply_base(uint64_t (*out)[12], uint8_t *well, const uint64_t (*scalars)[4], const uint64_t *table,
                          size_t n, void *scratch)
{
    comb_room *r = &((room *) scratch)->comb;
    uint64_t own[LANES][4];
    for (size_t first = 0; first < n; first += ROUND * LANES) {
        int groups = GROUPS_OF(LEAST(n - first, ROUND * LANES));
        for (int j = 0; j < groups; j++) {
            for (size_t lane = 0; lane < LANES; lane++)
                memcpy(own[lane], scalars[LEAST(first + j * LANES + lane, n - 1)], sizeof own[lane]);
            comb_digits(r->words[j], own);
            r->fine[j] = 0xff;
        }
        comb_multiply(r, (const comb_window *) table, groups);
        for (int j = 0; j < groups; j++) {
            g1_store(out, offsets_of(first + j * LANES, n, sizeof *out), &r->sums[j]);
            write_mask(well, first + j * LANES, n, r->fine[j]);
        }
    }
    wipe(own, sizeof own);
    wipe(r, sizeof *r);
    lane_leave();
}

static void make_table(uint64_t (*rows)[16], const uint64_t (*points)[12], size_t n)
{
    for (size_t first = 0; first < n; first += LANES) {
        g1_affine point;
        uint64_t *to[LANES];
        g1_load(&point, points, offsets_of(first, n, sizeof *points));
        for (size_t lane = 0; lane < LANES; lane++)
            to[lane] = rows[LEAST(first + lane, n - 1)];
        g1_store_rows(to, &point);
    }
    lane_leave();
}

static void split_g1(uint64_t (*out)[12], uint8_t *well, const uint64_t (*points)[12], const uint8_t (*scalars)[32],
                     const uint64_t (*table)[16], size_t n, size_t drawn, size_t k, void *scratch)
{
    g1_split_room *r = scratch;
    r->multiples.round.n = 0;
    for (size_t first = 0; first < n; first += G1_SPLIT * LANES) {
        int groups = GROUPS_OF(LEAST(n - first, G1_SPLIT * LANES));
        for (int g = 0; g < groups; g++) {
            g1_load(&r->differences[g * (drawn + 1)], points, offsets_of(first + g * LANES, n, sizeof *points));
            r->fine[g] = 0xff;
            r->table[g] = table[0];
        }
        g1_multiply_differences(r, scalars, first, n - 1, drawn, groups);
        for (size_t j = 0; j < k; j++) {
            g1_next_place(r, drawn, k - j, groups);
            for (int g = 0; g < groups; g++)
                g1_store(out + j, offsets_of(first + g * LANES, n, k * sizeof *out), &r->differences[g * (drawn + 1)]);
        }
        for (int g = 0; g < groups; g++)
            write_mask(well, first + g * LANES, n, r->fine[g]);
    }
    lane_leave();
}

static void split_g2(uint64_t (*out)[24], uint8_t *well, const uint64_t (*points)[24], const uint64_t (*bases)[24],
                     const uint8_t (*scalars)[32], size_t n, size_t drawn, size_t k, void *scratch)
{
    split_hash_room *room = scratch;
    g2_split_room *r = &room->split;
    r->multiples.round.n = 0;
    for (size_t first = 0; first < n; first += G2_SPLIT * LANES) {
        int groups = GROUPS_OF(LEAST(n - first, G2_SPLIT * LANES));
        for (int g = 0; g < groups; g++) {
            lanes offsets = offsets_of(first + g * LANES, n, sizeof *points);
            g2_load(&r->differences[g * (drawn + 1)], points, offsets);
            g2_load(&room->hashes[g], bases, offsets);
            r->fine[g] = 0xff;
            r->table[g] = room->tables[g][0][0][0];
        }
        make_hash_tables(room, groups);
        g2_multiply_differences(r, scalars, first, n - 1, drawn, groups);
        for (size_t j = 0; j < k; j++) {
            g2_next_place(r, drawn, k - j, groups);
            for (int g = 0; g < groups; g++)
                g2_store(out + j, offsets_of(first + g * LANES, n, k * sizeof *out), &r->differences[g * (drawn + 1)]);
        }
        for (int g = 0; g < groups; g++)
            write_mask(well, first + g * LANES, n, r->fine[g]);
    }
    lane_leave();
}

const lanes_operations BUILD = {
    NAME, scratch_bytes, checks, g1_decode_rows, g2_decode_rows, in_g1, in_g2, hash_groups, interpolate_groups,
    add_g1, values_g1, weight_g1, multiply_g2, multiply_base, miller, weighted_sums, sum_by_buckets, sum_g1, make_table, split_g1, split_g2,
};
