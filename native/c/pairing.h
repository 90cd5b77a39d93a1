/* Miller loops, each lane's over several pairs that share the squarings of its value and their inversions.
 *
 * With slope m of the tangent at T, or of the chord through T and Q, the line at the point P of G1 is
 *
 *     y_P - m x_P w^-1 + (m x_T - y_T) w^-3
 *
 * A factor in a proper subfield of Fp12 is lost in the final exponentiation: so y_P is divided out. As w^6 = xi,
 *
 *     1 + (b v + a v^2) w   with   a = -m x_P / (y_P xi),  b = (m x_T - y_T) / (y_P xi)
 *
 * Instead of each m, Q is scaled once: (u^2 x, u^3 y) is on a curve y^2 = x^3 + ..., too, and its slopes are u m. With
 * u = -x_P / (y_P xi) they are a, and b is (m x_T - y_T) -2 i y_P^2 / x_P^3 of the scaled curve. As 1 / xi is
 * (1 - i) / 2, with g = x_P / y_P
 *
 *     u^2 = -i g^2 / 2,   u^3 = (1 + i) g^3 / 4
 *
 * Points are affine (eprint 2010/354 has such a loop), so every step needs an inverse in each pair: all pairs and lanes
 * share one inversion in Fp, as 1 / z = conj(z) / norm(z), be they of one value or of several.
 *
 * Exceptions: at infinity, a point of order 2, T = Q and T = -Q a denominator is 0. It spoils its value, which says so.
 *
 * Twin in blst: pairing.c.
 */
#pragma once
#include "api.h"
#include "fp12.h"
#include "points.h"

/* At most so many pairs share inversions, of at most so many values: more would save little, and need more memory. */
#define PAIRS (2 * LANES_PAIRS)
#define VALUES 8

/* Of one pair: the point of G1, then a multiple of Q; Q, and +-2 y_P^2 / x_P^3. Both points of G2 are scaled. */
typedef struct {
    union { g1_affine p; g2_affine T; };
    g2_affine q;
    fp factor, minus_factor;
} miller_pair;

/* Pairs of n values, `group` of them each. */
typedef struct {
    int n, group;
    miller_pair pair[PAIRS];
    lane_mask active[PAIRS], zero[PAIRS];  /* where there is such a pair, and where it met an exception */
    fp inverse[PAIRS], room[PAIRS];
    fp12 values[VALUES + 1], *f[VALUES], *next;  /* the values, and room for the next of one */
} miller_room;

/* Makes `next` the value f[i]. */
INLINE void take_next(miller_room *r, int i)
{
    fp12 *f = r->f[i];
    r->f[i] = r->next;
    r->next = f;
}

/* inverse[k] = numerator / inverse[k]; zero[k] has the lanes, too, where it was 0 */
INLINE void invert_all(miller_room *r, const fp *numerator)
{
    int n = r->n * r->group;
    lane_mask zero[PAIRS];
    fp_divide_each(r->inverse, r->room, zero, numerator, n);
    for (int k = 0; k < n; k++)
        r->zero[k] |= zero[k];
}

/* Q of a pair, scaled, to q and T; its points have finite orders above 3, and `inverse` is 1 / (x_P y_P). */
SHARED void scale_pair(miller_pair *pair, const fp *inverse)
{
    fp g, square, cube, minus, inverse_x, t, u;
    g1_affine of_g1 = pair->p, *p = &of_g1;
    g2_affine *T = &pair->T;
    const g2_affine *q = &pair->q;
    fp_sqr(&g, &p->x);
    fp_mul(&g, &g, inverse);
    fp_sqr(&square, &g);
    fp_mul(&cube, &square, &g);
    fp_halve(&square, &square);
    fp_halve(&cube, &cube);
    fp_halve(&cube, &cube);
    fp_negate(&minus, &square, P_4);
    fp_mul(&T->x.c0, &q->x.c1, &square);
    fp_mul(&T->x.c1, &q->x.c0, &minus);
    fp_sub(&t, &q->y.c0, &q->y.c1, P_4);
    fp_add(&u, &q->y.c0, &q->y.c1);
    fp_mul(&T->y.c0, &t, &cube);
    fp_mul(&T->y.c1, &u, &cube);
    pair->q = *T;
    /* 2 y_P^2 / x_P^3 */
    fp_mul(&inverse_x, &p->y, inverse);
    fp_mul(&t, &p->y, &inverse_x);
    fp_sqr(&t, &t);
    fp_scale(&t, &t, 1);
    fp_mul(&pair->factor, &t, &inverse_x);
    fp_negate(&pair->minus_factor, &pair->factor, P_4);
}

/* T = T + q of pair k, by the slope of the line through both, which its value is multiplied by; q may be T. */
SHARED void follow_line(miller_room *r, int k, const g2_affine *q, const fp2 *slope)
{
    miller_pair *pair = &r->pair[k];
    lane_mask active = r->active[k];
    fp2 constant, x, t, a = *slope, b;
    line l;
    fp2_mul(&t, slope, &q->x);
    fp2_sub2_reduced(&constant, &t, &q->y, NULL, P_8);
    fp2_sqr(&t, slope);
    fp2_sub2_reduced(&x, &t, &pair->T.x, &q->x, P_8);
    pair->T.x = x;
    fp2_mul(&t, slope, &x);
    fp2_sub(&pair->T.y, &constant, &t, P_4);
    fp_mul(&b.c0, &constant.c1, &pair->factor);
    fp_mul(&b.c1, &constant.c0, &pair->minus_factor);
    if (active != 0xff) {
        fp2 zero;
        fp_clear(&zero.c0);
        fp_clear(&zero.c1);
        fp2_select(&a, active, &zero, &a);
        fp2_select(&b, active, &zero, &b);
    }
    set_line(&l, &a, &b);
    fp12_mul_line(r->next, r->f[k / r->group], &l);
    take_next(r, k / r->group);
}

/* T = 2 T in all pairs */
SHARED void double_points(miller_room *r)
{
    fp numerator;
    for (int k = 0; k < r->n * r->group; k++)
        fp2_norm(&r->inverse[k], &r->pair[k].T.y);
    fp_set(&numerator, ONE);
    fp_triple(&numerator, &numerator);
    fp_halve(&numerator, &numerator);
    invert_all(r, &numerator);
    for (int k = 0; k < r->n * r->group; k++) {
        g2_affine *T = &r->pair[k].T;
        fp2 slope, square;
        fp2_sqr(&square, &T->x);
        fp2_divide_by_norm(&slope, &square, &T->y, &r->inverse[k]);
        follow_line(r, k, T, &slope);
    }
}

/* T = T + q in all pairs */
SHARED void add_points(miller_room *r)
{
    for (int k = 0; k < r->n * r->group; k++) {
        fp2 run;
        fp2_sub(&run, &r->pair[k].T.x, &r->pair[k].q.x, P_4);
        fp2_norm(&r->inverse[k], &run);
    }
    invert_all(r, NULL);
    for (int k = 0; k < r->n * r->group; k++) {
        miller_pair *pair = &r->pair[k];
        fp2 rise, run, slope;
        fp2_sub(&rise, &pair->T.y, &pair->q.y, P_4);
        fp2_sub(&run, &pair->T.x, &pair->q.x, P_4);
        fp2_divide_by_norm(&slope, &rise, &run, &r->inverse[k]);
        follow_line(r, k, &pair->q, &slope);
    }
}

/* r->f[i] = product of the Miller values of `group` pairs p and q in the lanes `active`, but for factors that the final
 * exponentiation loses. */
SHARED void miller_loops(miller_room *r)
{
    for (int k = 0; k < r->n * r->group; k++) {
        fp_mul(&r->inverse[k], &r->pair[k].p.x, &r->pair[k].p.y);
        r->zero[k] = 0;
    }
    invert_all(r, NULL);
    for (int k = 0; k < r->n * r->group; k++)
        scale_pair(&r->pair[k], &r->inverse[k]);
    r->next = &r->values[VALUES];
    for (int i = 0; i < r->n; i++) {
        r->f[i] = &r->values[i];
        fp12_set_one(r->f[i]);
    }
    for (int i = 0; i < X_ONES; i++) {
        if (i)
            add_points(r);
        for (int d = 0; d < X_DOUBLINGS[i]; d++) {
            for (int j = 0; j < r->n && (i || d); j++) {
                fp12_sqr(r->next, r->f[j]);
                take_next(r, j);
            }
            double_points(r);
        }
    }
    for (int i = 0; i < r->n; i++)
        fp12_conjugate(r->f[i]);  /* as x is negative */
}
