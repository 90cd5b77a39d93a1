/* Sums of many pairs of affine points, with one inversion for all of them. Included like curve.h, once for each field.
 *
 *     slope = (y_q - y_p) / (x_q - x_p),   x = slope^2 - x_p - x_q,   y = slope (x_p - x) - y_p
 *
 * and of a double, where p and q are one variable, slope = 3 x_p^2 / (2 y_p).
 *
 * What is inverted are norms in Fp. So a sum costs three products in Fp more than the formula, and in Fp2 a norm and
 * two products, and less than one in Jacobian coordinates.
 *
 * Where x_p = x_q, for equal or opposite points in two variables, a lane of a sum is undefined, but below the bounds; its
 * bit in *fine is cleared, and no other lane or sum is spoilt. Points are finite.
 *
 * Bounds: x, y of operands below 64 p, of sums below 4.01 p.
 *
 * Twin in blst: bulk_addition.c.
 */

/* Sums that share an inversion, at most. */
#define ROUND 56

typedef struct { CURVE(affine) *out; const CURVE(affine) *p, *q; lane_mask *fine; } CURVE(addition);

/* Additions that wait for `run`, and the norms of what slopes are divided by. */
typedef struct {
    int n;
    CURVE(addition) of[ROUND];
    fp norm[ROUND], room[ROUND];
} CURVE(round);

INLINE void CURVE(difference)(FIELD(element) *out, const FIELD(element) *a, const FIELD(element) *b)
{
    FIELD(sub)(out, b, a, P_64);
}

/* The slope's numerator and denominator */
INLINE void CURVE(rise)(FIELD(element) *out, const CURVE(affine) *p, const CURVE(affine) *q)
{
    if (p == q) {
        FIELD(sqr)(out, &p->x);
        FIELD(triple)(out, out);
    } else {
        CURVE(difference)(out, &p->y, &q->y);
    }
}

INLINE void CURVE(run_of)(FIELD(element) *out, const CURVE(affine) *p, const CURVE(affine) *q)
{
    if (p == q)
        FIELD(scale)(out, &p->y, 1);
    else
        CURVE(difference)(out, &p->x, &q->x);
}

/* out = p + q, by the inverse of the norm of run_of; out may be p or q */
SHARED void CURVE(add_by_inverse)(CURVE(affine) *out, const CURVE(affine) *p, const CURVE(affine) *q,
                                  const fp *inverse)
{
    FIELD(element) run, slope, x, y;
    CURVE(run_of)(&run, p, q);
    FIELD(invert_by_norm)(&run, &run, inverse);
    CURVE(rise)(&slope, p, q);
    FIELD(mul)(&slope, &slope, &run);
    FIELD(sqr)(&x, &slope);
    FIELD(sub_near)(&x, &x, &p->x, &q->x);
    FIELD(sub)(&y, &p->x, &x, P_8);
    FIELD(mul)(&y, &y, &slope);
    FIELD(sub_near)(&out->y, &y, &p->y, NULL);
    out->x = x;
}

/* Does what waits, the first addition first. */
SHARED void CURVE(run)(CURVE(round) *r)
{
    lane_mask zero[ROUND];
    fp_divide_each(r->norm, r->room, zero, NULL, r->n);
    for (int i = 0; i < r->n; i++) {
        *r->of[i].fine &= (lane_mask) ~zero[i];
        CURVE(add_by_inverse)(r->of[i].out, r->of[i].p, r->of[i].q, &r->norm[i]);
    }
    r->n = 0;
}

/* out = p + q with the next `run`, or before. What an earlier addition that waits has as `out` must not be p or q;
 * out may be. */
INLINE void CURVE(queue)(CURVE(round) *r, CURVE(affine) *out, const CURVE(affine) *p, const CURVE(affine) *q,
                         lane_mask *fine)
{
    FIELD(element) run;
    if (r->n == ROUND)
        CURVE(run)(r);
    CURVE(run_of)(&run, p, q);
    FIELD(norm)(&r->norm[r->n], &run);
    r->of[r->n++] = (CURVE(addition)) {out, p, q, fine};
}
