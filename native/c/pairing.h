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
 * share one inversion in Fp, as 1 / z = conj(z) / norm(z).
 *
 * Exceptions: at infinity, a point of order 2, T = Q and T = -Q a denominator is 0. It spoils its lane, which says so.
 */
#pragma once
#include "api.h"
#include "fp12.h"
#include "points.h"

/* At most so many pairs share squarings and inversions. */
#define PAIRS LANES_PAIRS

/* Of one pair: Q and a multiple of it, both scaled, and +-2 y_P^2 / x_P^3. */
typedef struct { g2_affine q, T; fp factor, minus_factor; } miller_pair;

typedef struct {
    g1_affine p[PAIRS];
    miller_pair pair[PAIRS];
    lane_mask active[PAIRS];
    fp inverse[PAIRS], prefix[PAIRS];
    fp12 values[2], *f, *other;  /* f is the value, `other` room for the next one */
} miller_room;

INLINE void swap_values(miller_room *room)
{
    fp12 *f = room->f;
    room->f = room->other;
    room->other = f;
}

/* Q of a pair, scaled, to q and T; its points have finite orders above 3, and `inverse` is 1 / (x_P y_P). */
SHARED void scale_pair(miller_pair *pair, const g1_affine *p, const fp *inverse)
{
    fp g, square, cube, minus, inverse_x, t, u;
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

/* slope = numerator conj(denominator) inverse, of the inverse of its norm. */
INLINE void slope_of(fp2 *slope, const fp2 *numerator, const fp2 *denominator, const fp *inverse)
{
    fp2 conjugate;
    fp2_conjugate(&conjugate, denominator, P_8);
    fp2_mul(slope, numerator, &conjugate);
    fp2_mul_fp(slope, slope, inverse);
}

/* T = T + q, of the slope of the line through both, which f is multiplied by in the lanes `active`; q may be T. */
SHARED void follow_line(miller_room *room, miller_pair *pair, const g2_affine *q, const fp2 *slope, lane_mask active)
{
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
    fp12_mul_line(room->other, room->f, &l);
    swap_values(room);
}

/* T = 2 T in n pairs; returned: the lanes where that went well */
SHARED lane_mask double_points(miller_room *room, int n)
{
    fp numerator;
    for (int k = 0; k < n; k++)
        fp2_norm(&room->inverse[k], &room->pair[k].T.y);
    fp_set(&numerator, ONE);
    fp_triple(&numerator, &numerator);
    fp_halve(&numerator, &numerator);
    lane_mask zero = fp_invert_all(room->inverse, room->prefix, &numerator, n);
    for (int k = 0; k < n; k++) {
        g2_affine *T = &room->pair[k].T;
        fp2 slope, square;
        fp2_sqr(&square, &T->x);
        slope_of(&slope, &square, &T->y, &room->inverse[k]);
        follow_line(room, &room->pair[k], T, &slope, room->active[k]);
    }
    return (lane_mask) ~zero;
}

/* T = T + q in n pairs; as above */
SHARED lane_mask add_points(miller_room *room, int n)
{
    fp one;
    fp_set(&one, ONE);
    for (int k = 0; k < n; k++) {
        fp2 run;
        fp2_sub(&run, &room->pair[k].T.x, &room->pair[k].q.x, P_4);
        fp2_norm(&room->inverse[k], &run);
    }
    lane_mask zero = fp_invert_all(room->inverse, room->prefix, &one, n);
    for (int k = 0; k < n; k++) {
        miller_pair *pair = &room->pair[k];
        fp2 rise, run, slope;
        fp2_sub(&rise, &pair->T.y, &pair->q.y, P_4);
        fp2_sub(&run, &pair->T.x, &pair->q.x, P_4);
        slope_of(&slope, &rise, &run, &room->inverse[k]);
        follow_line(room, pair, &pair->q, &slope, room->active[k]);
    }
    return (lane_mask) ~zero;
}

/* room->f = product of the Miller values of p[k] and pair[k].q, k < n, in the lanes active[k], but for factors that the
 * final exponentiation loses. Returned: where all is well. */
SHARED lane_mask miller_loops(miller_room *room, int n)
{
    fp one;
    fp_set(&one, ONE);
    for (int k = 0; k < n; k++)
        fp_mul(&room->inverse[k], &room->p[k].x, &room->p[k].y);
    lane_mask well = (lane_mask) ~fp_invert_all(room->inverse, room->prefix, &one, n);
    for (int k = 0; k < n; k++)
        scale_pair(&room->pair[k], &room->p[k], &room->inverse[k]);
    room->f = &room->values[0];
    room->other = &room->values[1];
    fp12_set_one(room->f);
    for (int i = 0; i < X_ONES; i++) {
        if (i)
            well &= add_points(room, n);
        for (int d = 0; d < X_DOUBLINGS[i]; d++) {
            if (i || d) {
                fp12_sqr(room->other, room->f);
                swap_values(room);
            }
            well &= double_points(room, n);
        }
    }
    fp12_conjugate(room->f);  /* as x is negative */
    return well;
}
