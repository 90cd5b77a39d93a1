/* Values of polynomials on G1's curve at 1, 2, 3 ..., by their differences at 0 (Newton): the difference of order o at j + 1
 * is that of order o at j and that of order o + 1 at j.
 *
 * Coefficients become differences from the highest on: with c_o those of order o of a polynomial, o (c_o + c_(o-1)) are those
 * of x times it. All additions are affine, and many share an inversion.
 */
#pragma once
#include "points.h"

/* Differences of all groups together, at most. */
#define DIFFERENCES 112

typedef struct {
    g1_round round;
    lane_mask fine[GROUPS];
    g1_affine copies[GROUPS];
    g1_affine differences[DIFFERENCES];  /* [order][group] */
} values_room;

/* rows[g] = factor rows[g] of n groups, factor not 0 */
static void multiply_rows(values_room *r, g1_affine *rows, size_t factor, int n)
{
    int bit = 0;
    while (factor >> bit > 1)
        bit++;
    memcpy(r->copies, rows, (size_t) n * sizeof *rows);
    while (bit--) {
        for (int g = 0; g < n; g++)
            g1_queue(&r->round, &rows[g], &rows[g], &rows[g], &r->fine[g]);
        g1_run(&r->round);
        if (factor >> bit & 1) {
            for (int g = 0; g < n; g++)
                g1_queue(&r->round, &rows[g], &rows[g], &r->copies[g], &r->fine[g]);
            g1_run(&r->round);
        }
    }
}

/* Of n groups, coefficients [order][group] become differences at 0 of orders 0 .. degree, in place. */
static void make_differences(values_room *r, size_t degree, int n)
{
    for (size_t k = degree; k-- > 0;) {
        /* Rows k + 1 .. degree are the differences of what the coefficients from k + 1 on make. */
        for (size_t row = k + 1; row < degree; row++)
            for (int g = 0; g < n; g++) {
                g1_affine *own = &r->differences[row * (size_t) n + (size_t) g];
                g1_queue(&r->round, own, own, own + n, &r->fine[g]);
            }
        g1_run(&r->round);
        for (size_t row = k + 2; row <= degree; row++)
            multiply_rows(r, &r->differences[row * (size_t) n], row - k, n);
    }
}

/* From place j to j + 1: what the values at the `left` places from there on need. */
static void to_next_place(values_room *r, size_t degree, size_t left, int n)
{
    for (size_t o = 0; o < degree && o < left; o++)
        for (int g = 0; g < n; g++) {
            g1_affine *own = &r->differences[o * (size_t) n + (size_t) g];
            g1_queue(&r->round, own, own, own + n, &r->fine[g]);
        }
    g1_run(&r->round);
}
