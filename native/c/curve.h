/* Points of y^2 = x^3 + b in Jacobian coordinates: x = X / Z^2, y = Y / Z^3. No include guard: the file is
 * included once for each field, with
 *
 *   FIELD(name)   fp_name or fp2_name
 *   CURVE(name)   g1_name or g2_name
 *   FIELD_BYTES   of an element in blst's form
 *
 * Formulas: the usual ones for a = 0, in the form that has the fewest reductions.
 *
 * Additions are incomplete: of equal or opposite points, or where one is infinity, they give Z = 0, and what is
 * computed from such a point has Z = 0, too. So a lane is right, or its Z is 0 and says so.
 *
 * Bounds of every point, negated or not: X <= 70 p, Y <= 64 p, Z <= 64 p; of affine ones x, y <= 64 p.
 *
 * Twin in blst: ec_ops.h.
 */

typedef struct { FIELD(element) X, Y, Z; } CURVE(jacobian);
typedef struct { FIELD(element) x, y; } CURVE(affine);

/* The documented bounds, where the checked build sees them. */
INLINE void CURVE(expect)(const CURVE(jacobian) *p)
{
    (void) p;
    FIELD(expect)(&p->X, 70);
    FIELD(expect)(&p->Y, 64);
    FIELD(expect)(&p->Z, 64);
}

INLINE void CURVE(from_affine)(CURVE(jacobian) *out, const CURVE(affine) *q)
{
    out->X = q->x;
    out->Y = q->y;
    FIELD(set_one)(&out->Z);
}

INLINE void CURVE(select)(CURVE(jacobian) *out, lane_mask m, const CURVE(jacobian) *p, const CURVE(jacobian) *q)
{
    FIELD(select)(&out->X, m, &p->X, &q->X);
    FIELD(select)(&out->Y, m, &p->Y, &q->Y);
    FIELD(select)(&out->Z, m, &p->Z, &q->Z);
}

/* p = 0 where m */
INLINE void CURVE(set_zero)(CURVE(jacobian) *p, lane_mask m)
{
    FIELD(element) zero;
    FIELD(clear)(&zero);
    FIELD(select)(&p->Z, m, &p->Z, &zero);
}

/* out = -y where m, else y */
INLINE void CURVE(negate_y)(FIELD(element) *out_y, lane_mask m, const FIELD(element) *y)
{
    FIELD(negate_some)(out_y, m, y, P_64);
}

/* out = 2 p: with A = X^2, B = Y^2, D = X B
 *
 *     X' = 9 A^2 - 8 D    Y' = A (12 D - 3 X') - 8 B^2    Z' = 2 Y Z
 */
SHARED void CURVE(double)(CURVE(jacobian) *out, const CURVE(jacobian) *p)
{
    FIELD(element) A, B, D, S, u;
    CURVE(expect)(p);
    FIELD(sqr)(&A, &p->X);
    FIELD(sqr)(&B, &p->Y);
    FIELD(mul)(&D, &p->X, &B);
    FIELD(mul_twice)(&out->Z, &p->Y, &p->Z);
    FIELD(sqr_9_sub_8)(&out->X, &A, &D);
    FIELD(12a_3b)(&u, &D, &out->X);
    FIELD(negate_scaled)(&S, &B, 3, P_16);
    FIELD(mul2)(&out->Y, &A, &u, &S, &B);
    CURVE(expect)(out);
}

/* The sum of two points, of which X1, Y1, X2, Y2 have one denominator: with H = X2 - X1, R = Y2 - Y1
 *
 *     X = R^2 - H^3 - 2 X1 H^2    Y = R (X1 H^2 - X) - Y1 H^3    Z times H
 */
INLINE void CURVE(add_scaled)(CURVE(jacobian) *out, const FIELD(element) *X1, const FIELD(element) *Y1,
                              const FIELD(element) *Z, const FIELD(element) *H, const FIELD(element) *R)
{
    FIELD(element) HH, HHH, V, t, minus;
    FIELD(sqr)(&HH, H);
    FIELD(mul)(&HHH, H, &HH);
    FIELD(mul)(&V, X1, &HH);
    FIELD(negate)(&minus, Y1, P_64);
    FIELD(mul)(&out->Z, Z, H);
    FIELD(sqr)(&t, R);
    FIELD(sub_b_2c)(&out->X, &t, &HHH, &V, P_8);
    FIELD(sub)(&t, &V, &out->X, P_16);
    FIELD(mul2)(&out->Y, R, &t, &minus, &HHH);
    CURVE(expect)(out);
}

/* out = p + q; see above for what exceptions give */
SHARED void CURVE(add_affine)(CURVE(jacobian) *out, const CURVE(jacobian) *p, const CURVE(affine) *q)
{
    FIELD(element) ZZ, H, R, t;
    CURVE(expect)(p);
    FIELD(expect)(&q->x, 64);
    FIELD(expect)(&q->y, 64);
    FIELD(sqr)(&ZZ, &p->Z);
    FIELD(mul)(&H, &q->x, &ZZ);
    FIELD(mul)(&t, &p->Z, &ZZ);
    FIELD(mul)(&R, &q->y, &t);
    FIELD(sub)(&H, &H, &p->X, P_128);
    FIELD(sub)(&R, &R, &p->Y, P_64);
    CURVE(add_scaled)(out, &p->X, &p->Y, &p->Z, &H, &R);
}

/* out = p + q; see above for what exceptions give */
SHARED void CURVE(add)(CURVE(jacobian) *out, const CURVE(jacobian) *p, const CURVE(jacobian) *q)
{
    FIELD(element) PP, QQ, U, S, Z, H, R, t;
    CURVE(expect)(p);
    CURVE(expect)(q);
    FIELD(sqr)(&PP, &p->Z);
    FIELD(sqr)(&QQ, &q->Z);
    FIELD(mul)(&t, &PP, &p->Z);
    FIELD(mul)(&R, &t, &q->Y);
    FIELD(mul)(&t, &QQ, &q->Z);
    FIELD(mul)(&S, &t, &p->Y);
    FIELD(sub)(&R, &R, &S, P_4);
    FIELD(mul)(&U, &p->X, &QQ);
    FIELD(mul)(&H, &q->X, &PP);
    FIELD(sub)(&H, &H, &U, P_4);
    FIELD(mul)(&Z, &p->Z, &q->Z);
    CURVE(add_scaled)(out, &U, &S, &Z, &H, &R);
}

/* out = |x| p; in G2 only the library of tests does so */
SHARED __attribute__((unused)) void CURVE(multiply_by_x)(CURVE(jacobian) *out, const CURVE(jacobian) *p)
{
    CURVE(jacobian) T = *p;
    for (int i = 0; i < X_ONES; i++) {
        if (i)
            CURVE(add)(&T, &T, p);
        for (int k = 0; k < X_DOUBLINGS[i]; k++)
            CURVE(double)(&T, &T);
    }
    *out = T;
}

/* The same of an affine point. */
SHARED void CURVE(multiply_affine_by_x)(CURVE(jacobian) *out, const CURVE(affine) *q)
{
    CURVE(from_affine)(out, q);
    for (int i = 0; i < X_ONES; i++) {
        if (i)
            CURVE(add_affine)(out, out, q);
        for (int k = 0; k < X_DOUBLINGS[i]; k++)
            CURVE(double)(out, out);
    }
}

/* Affine coordinates of n groups of points, with one inversion (Montgomery's trick).
 * Returned in zero[]: the lanes with Z = 0, which get some point and spoil no other. At most GROUPS groups. Constant
 * time.
 */
SHARED void CURVE(to_affine)(CURVE(affine) *out, const CURVE(jacobian) *p, lane_mask *zero, int n)
{
    fp inverse[GROUPS], prefix[GROUPS], product;
    for (int i = 0; i < n; i++)
        FIELD(norm)(&inverse[i], &p[i].Z);
    fp_replace_zeros(inverse, zero, n);
    fp_multiply_all(&product, prefix, inverse, n);
    fp_divide_all(inverse, &product, prefix, NULL, n);
    for (int i = 0; i < n; i++) {
        FIELD(element) own, square;
        FIELD(invert_by_norm)(&own, &p[i].Z, &inverse[i]);
        FIELD(sqr)(&square, &own);
        FIELD(mul)(&out[i].x, &p[i].X, &square);
        FIELD(mul)(&square, &square, &own);
        FIELD(mul)(&out[i].y, &p[i].Y, &square);
    }
}

INLINE void CURVE(load)(CURVE(affine) *out, const void *base, lanes offsets)
{
    FIELD(load)(&out->x, base, offsets);
    FIELD(load)(&out->y, (const char *) base + FIELD_BYTES, offsets);
}

INLINE void CURVE(store)(void *base, lanes offsets, const CURVE(affine) *a)
{
    FIELD(store)(base, offsets, &a->x);
    FIELD(store)((char *) base + FIELD_BYTES, offsets, &a->y);
}
