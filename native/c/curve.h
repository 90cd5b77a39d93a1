/* Points of y^2 = x^3 + b in Jacobian coordinates: x = X / Z^2, y = Y / Z^3. No include guard: the file is
 * included once for each field, with
 *
 *   FIELD(name)   fp_name or fp2_name
 *   CURVE(name)   g1_name or g2_name
 *   FIELD_BYTES   of an element in blst's form
 *
 * Formulas: hyperelliptic.org/EFD, short Weierstrass with a = 0 (dbl-2009-l, madd-2007-bl, add-2007-bl).
 *
 * Additions are incomplete: of equal or opposite points, or where one is infinity, they give Z = 0, and what is
 * computed from such a point has Z = 0, too. So a lane is right, or its Z is 0 and says so.
 *
 * Bounds of every point, negated or not: X <= 70 p, Y <= 64 p, Z <= 64 p; of affine ones x, y <= 64 p.
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

/* out = -y where m, else y */
INLINE void CURVE(negate_y)(FIELD(element) *out_y, lane_mask m, const FIELD(element) *y)
{
    FIELD(element) minus;
    FIELD(negate)(&minus, y, P_64);
    FIELD(select)(out_y, m, y, &minus);
}

/* out = 2 p */
SHARED void CURVE(double)(CURVE(jacobian) *out, const CURVE(jacobian) *p)
{
    FIELD(element) A, B, C, D, E, F, u;
    CURVE(expect)(p);
    FIELD(sqr)(&A, &p->X);
    FIELD(sqr)(&B, &p->Y);
    FIELD(sqr)(&C, &B);
    FIELD(add)(&u, &p->X, &B);
    FIELD(sqr)(&u, &u);
    FIELD(twice_sub2)(&D, &u, &A, &C, P_16);
    FIELD(triple)(&E, &A);
    FIELD(sqr)(&F, &E);
    FIELD(scale)(&u, &p->Y, 1);
    FIELD(mul)(&out->Z, &u, &p->Z);
    FIELD(sub_scaled)(&out->X, &F, &D, 1, P_64);
    FIELD(sub)(&u, &D, &out->X, P_128);
    FIELD(mul)(&u, &u, &E);
    FIELD(sub_scaled)(&out->Y, &u, &C, 3, P_32);
    CURVE(expect)(out);
}

/* out = p + q; see above for what exceptions give */
SHARED void CURVE(add_affine)(CURVE(jacobian) *out, const CURVE(jacobian) *p, const CURVE(affine) *q)
{
    FIELD(element) ZZ, H, HH, I, J, R, V, t, YJ;
    CURVE(expect)(p);
    FIELD(expect)(&q->x, 64);
    FIELD(expect)(&q->y, 64);
    FIELD(sqr)(&ZZ, &p->Z);
    FIELD(mul)(&H, &q->x, &ZZ);
    FIELD(mul)(&t, &p->Z, &ZZ);
    FIELD(mul)(&R, &q->y, &t);
    FIELD(sub)(&H, &H, &p->X, P_128);
    FIELD(sqr)(&HH, &H);
    FIELD(scale)(&I, &HH, 2);
    FIELD(mul)(&J, &H, &I);
    FIELD(twice_sub)(&R, &R, &p->Y, P_128);
    FIELD(mul)(&V, &p->X, &I);
    FIELD(mul)(&YJ, &p->Y, &J);
    FIELD(add)(&t, &p->Z, &H);
    FIELD(sqr)(&t, &t);
    FIELD(sub2)(&out->Z, &t, &ZZ, &HH, P_8);
    FIELD(sqr)(&t, &R);
    FIELD(sub_b_2c)(&out->X, &t, &J, &V, P_8);
    FIELD(sub)(&t, &V, &out->X, P_16);
    FIELD(mul)(&t, &t, &R);
    FIELD(sub_scaled)(&out->Y, &t, &YJ, 1, P_8);
    CURVE(expect)(out);
}

/* out = p + q; see above for what exceptions give */
SHARED void CURVE(add)(CURVE(jacobian) *out, const CURVE(jacobian) *p, const CURVE(jacobian) *q)
{
    FIELD(element) PP, QQ, U, S, H, I, J, R, V, t;
    CURVE(expect)(p);
    CURVE(expect)(q);
    FIELD(sqr)(&PP, &p->Z);
    FIELD(sqr)(&QQ, &q->Z);
    FIELD(mul)(&t, &PP, &p->Z);
    FIELD(mul)(&R, &t, &q->Y);
    FIELD(mul)(&t, &QQ, &q->Z);
    FIELD(mul)(&S, &t, &p->Y);
    FIELD(twice_sub)(&R, &R, &S, P_8);
    FIELD(mul)(&U, &p->X, &QQ);
    FIELD(mul)(&H, &q->X, &PP);
    FIELD(sub)(&H, &H, &U, P_4);
    FIELD(scale)(&I, &H, 1);
    FIELD(sqr)(&I, &I);
    FIELD(mul)(&J, &H, &I);
    FIELD(mul)(&S, &S, &J);
    FIELD(mul)(&V, &U, &I);
    FIELD(add)(&t, &p->Z, &q->Z);
    FIELD(sqr)(&t, &t);
    FIELD(sub2)(&t, &t, &PP, &QQ, P_8);
    FIELD(mul)(&out->Z, &t, &H);
    FIELD(sqr)(&t, &R);
    FIELD(sub_b_2c)(&out->X, &t, &J, &V, P_8);
    FIELD(sub)(&t, &V, &out->X, P_16);
    FIELD(mul)(&t, &t, &R);
    FIELD(sub_scaled)(&out->Y, &t, &S, 1, P_8);
    CURVE(expect)(out);
}

/* out = |x| p */
SHARED void CURVE(multiply_by_x)(CURVE(jacobian) *out, const CURVE(jacobian) *p)
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
 * Returned in zero[]: the lanes with Z = 0, which get some point and spoil no other. At most GROUPS groups.
 */
SHARED void CURVE(to_affine)(CURVE(affine) *out, const CURVE(jacobian) *p, lane_mask *zero, int n)
{
    FIELD(element) prefix[GROUPS], z[GROUPS], one, inverse, t;
    FIELD(set_one)(&one);
    inverse = one;
    for (int i = 0; i < n; i++) {
        zero[i] = FIELD(is_zero)(&p[i].Z);
        FIELD(select)(&z[i], zero[i], &p[i].Z, &one);
        prefix[i] = inverse;  /* of the groups before */
        FIELD(mul)(&inverse, &inverse, &z[i]);
    }
    FIELD(invert)(&inverse, &inverse);
    for (int i = n - 1; i >= 0; i--) {
        FIELD(element) own;
        FIELD(mul)(&own, &inverse, &prefix[i]);
        FIELD(mul)(&inverse, &inverse, &z[i]);
        FIELD(sqr)(&t, &own);
        FIELD(mul)(&out[i].x, &p[i].X, &t);
        FIELD(mul)(&t, &t, &own);
        FIELD(mul)(&out[i].y, &p[i].Y, &t);
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
