/* Miller loops (eprint 2010/354), each lane's over several pairs that share the squarings of its value.
 *
 * Fp12 = Fp6[w] / (w^2 - v), Fp6 = Fp2[v] / (v^3 - xi), xi = 1 + i; c[0 .. 2] + c[3 .. 5] w, as in blst.
 *
 * Products in Fp12 are sums of products in Fp2, which are reduced only once they are added up: a `wide2` has the
 * columns of such a sum. Factors are below 2^10 p and sums are of fewer than 2^8 products, counted with their
 * coefficients, so a sum is below 2^28 p^2, and 2^35 p < R.
 */
#pragma once
#include "points.h"

typedef struct { fp2 c[6]; } fp12;
typedef struct { lanes c0[2 * LIMBS], c1[2 * LIMBS]; } wide2;
typedef struct { lanes c0, c1; } column2;

#define EACH_COLUMN for (int i = 0; i < 2 * LIMBS; i++)

INLINE column2 at(const wide2 *a, int i) { return (column2) {a->c0[i], a->c1[i]}; }
INLINE column2 plus(column2 a, column2 b) { return (column2) {lane_add(a.c0, b.c0), lane_add(a.c1, b.c1)}; }
INLINE column2 minus(column2 a, column2 b) { return (column2) {lane_sub(a.c0, b.c0), lane_sub(a.c1, b.c1)}; }
INLINE column2 times_xi(column2 a) { return (column2) {lane_sub(a.c0, a.c1), lane_add(a.c0, a.c1)}; }

INLINE void put(wide2 *out, int i, column2 a)
{
    out->c0[i] = a.c0;
    out->c1[i] = a.c1;
}

/* out = a b */
SHARED void wide_mul(wide2 *out, const fp2 *a, const fp2 *b)
{
    lanes t[2 * LIMBS], u[2 * LIMBS];
    fp a_sum, b_sum;
    fp2_expect(a, 1024);
    fp2_expect(b, 1024);
    fp_add(&a_sum, &a->c0, &a->c1);
    fp_add(&b_sum, &b->c0, &b->c1);
    set_product(u, &a->c0, &b->c0);
    set_product(t, &a->c1, &b->c1);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++) {
        out->c0[i] = lane_sub(u[i], t[i]);
        u[i] = lane_add(u[i], t[i]);
    }
    set_product(t, &a_sum, &b_sum);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = lane_sub(t[i], u[i]);
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        out->c1[i] = t[i];
}

INLINE void reduce_signed(fp *out, const lanes columns[2 * LIMBS])
{
    lanes t[2 * LIMBS];
    UNROLL for (int i = 0; i < 2 * LIMBS; i++)
        t[i] = columns[i];
    add_p_r(t);
    reduce(out, t);
    fp_claim(out, 2.26);
}

/* out = a, below 2.26 p */
SHARED void wide_reduce(fp2 *out, const wide2 *a)
{
    reduce_signed(&out->c0, a->c0);
    reduce_signed(&out->c1, a->c1);
}

/* out = a b in Fp6 */
SHARED void fp6_mul(wide2 out[3], const fp2 a[3], const fp2 b[3])
{
    wide2 own[3], cross[3];  /* a[k] b[k], and the products of the sums without k */
    fp2 a_sum, b_sum;
    for (int k = 0; k < 3; k++) {
        int x = k == 0, y = k == 2 ? 1 : 2;
        wide_mul(&own[k], &a[k], &b[k]);
        fp2_add(&a_sum, &a[x], &a[y]);
        fp2_add(&b_sum, &b[x], &b[y]);
        wide_mul(&cross[k], &a_sum, &b_sum);
    }
    EACH_COLUMN {
        column2 t0 = at(&own[0], i), t1 = at(&own[1], i), t2 = at(&own[2], i);
        put(&out[0], i, plus(t0, times_xi(minus(minus(at(&cross[0], i), t1), t2))));
        put(&out[1], i, plus(minus(minus(at(&cross[2], i), t0), t1), times_xi(t2)));
        put(&out[2], i, plus(minus(minus(at(&cross[1], i), t0), t2), t1));
    }
}

/* f = f^2: with f = a + b w, (a + b)(a + v b) - ab - v ab  and  2 ab */
SHARED void fp12_sqr(fp12 *f)
{
    const fp2 *a = f->c, *b = f->c + 3;
    fp2 sum[3], twisted[3];
    wide2 product[3], ab[3], t;
    for (int k = 0; k < 3; k++)
        fp2_add(&sum[k], &a[k], &b[k]);
    fp_sub(&twisted[0].c0, &b[2].c0, &b[2].c1, P_4);
    fp_add(&twisted[0].c0, &twisted[0].c0, &a[0].c0);
    fp_add(&twisted[0].c1, &b[2].c0, &b[2].c1);
    fp_add(&twisted[0].c1, &twisted[0].c1, &a[0].c1);
    fp2_add(&twisted[1], &a[1], &b[0]);
    fp2_add(&twisted[2], &a[2], &b[1]);
    fp6_mul(product, sum, twisted);
    fp6_mul(ab, a, b);
    EACH_COLUMN put(&t, i, minus(minus(at(&product[0], i), at(&ab[0], i)), times_xi(at(&ab[2], i))));
    wide_reduce(&f->c[0], &t);
    for (int k = 1; k < 3; k++) {
        EACH_COLUMN put(&t, i, minus(minus(at(&product[k], i), at(&ab[k], i)), at(&ab[k - 1], i)));
        wide_reduce(&f->c[k], &t);
    }
    for (int k = 0; k < 3; k++) {
        EACH_COLUMN put(&t, i, plus(at(&ab[k], i), at(&ab[k], i)));
        wide_reduce(&f->c[3 + k], &t);
    }
}

/* A line l[0] + l[1] v + l[2] v w.
 *
 * With f = a + b w, and of Fp6 x = l[0] + l[1] v, y = l[2] v:
 * f l = a x + v b y + ((a + b)(x + y) - a x - b y) w, in 13 products.
 */
SHARED void fp12_mul_line(fp12 *f, const fp2 l[3])
{
    const fp2 *a = f->c, *b = f->c + 3;
    wide2 ax0, ax1, ax01, a2l0, a2l1, by[3], s0, s1, s01, s2l0, s2u, t;
    fp2 s[3], u, l01, l0u, a01, sum01;
    for (int k = 0; k < 3; k++)
        fp2_add(&s[k], &a[k], &b[k]);
    fp2_add(&u, &l[1], &l[2]);
    fp2_add(&l01, &l[0], &l[1]);
    fp2_add(&l0u, &l[0], &u);
    fp2_add(&a01, &a[0], &a[1]);
    fp2_add(&sum01, &s[0], &s[1]);
    wide_mul(&ax0, &a[0], &l[0]);
    wide_mul(&ax1, &a[1], &l[1]);
    wide_mul(&ax01, &a01, &l01);
    wide_mul(&a2l0, &a[2], &l[0]);
    wide_mul(&a2l1, &a[2], &l[1]);
    for (int k = 0; k < 3; k++)
        wide_mul(&by[k], &b[k], &l[2]);  /* of v, v^2, v^3 = xi in b y */
    wide_mul(&s0, &s[0], &l[0]);
    wide_mul(&s1, &s[1], &u);
    wide_mul(&s01, &sum01, &l0u);
    wide_mul(&s2l0, &s[2], &l[0]);
    wide_mul(&s2u, &s[2], &u);
    /* a x = (ax0 + xi a2l1) + (ax01 - ax0 - ax1) v + (ax1 + a2l0) v^2, so too for s and x + y */
    EACH_COLUMN put(&t, i, plus(at(&ax0, i), times_xi(plus(at(&a2l1, i), at(&by[1], i)))));
    wide_reduce(&f->c[0], &t);
    EACH_COLUMN put(&t, i, plus(minus(minus(at(&ax01, i), at(&ax0, i)), at(&ax1, i)), times_xi(at(&by[2], i))));
    wide_reduce(&f->c[1], &t);
    EACH_COLUMN put(&t, i, plus(plus(at(&ax1, i), at(&a2l0, i)), at(&by[0], i)));
    wide_reduce(&f->c[2], &t);
    EACH_COLUMN {
        column2 of_xi = minus(minus(at(&s2u, i), at(&a2l1, i)), at(&by[2], i));
        put(&t, i, plus(minus(at(&s0, i), at(&ax0, i)), times_xi(of_xi)));
    }
    wide_reduce(&f->c[3], &t);
    EACH_COLUMN {
        column2 of_s = minus(minus(at(&s01, i), at(&s0, i)), at(&s1, i));
        column2 of_a = minus(minus(at(&ax01, i), at(&ax0, i)), at(&ax1, i));
        put(&t, i, minus(minus(of_s, of_a), at(&by[0], i)));
    }
    wide_reduce(&f->c[4], &t);
    EACH_COLUMN {
        column2 of_s = plus(at(&s1, i), at(&s2l0, i)), of_a = plus(at(&ax1, i), at(&a2l0, i));
        put(&t, i, minus(minus(of_s, of_a), at(&by[1], i)));
    }
    wide_reduce(&f->c[5], &t);
}

/* T = 2 T, and the tangent at T, of which l[1] and l[2] are still to be multiplied by -2 x and 2 y of a point of G1 */
SHARED void line_double(fp2 l[3], g2_jacobian *T)
{
    fp2 A, B, C, D, E, F, ZZ, u;
    fp2_sqr(&A, &T->X);
    fp2_sqr(&B, &T->Y);
    fp2_sqr(&ZZ, &T->Z);
    fp2_sqr(&C, &B);
    fp2_add(&u, &T->X, &B);
    fp2_sqr(&u, &u);
    fp2_twice_sub2(&D, &u, &A, &C, P_16);
    fp2_triple(&E, &A);
    fp2_sqr(&F, &E);
    /* l[0] = (E + X)^2 - A - F - 4 B = 6 X^3 - 4 Y^2 */
    fp2_add(&u, &E, &T->X);
    fp2_sqr(&u, &u);
    fp2_sub2(&l[0], &u, &A, &F, P_8);
    fp2_sub_scaled(&l[0], &l[0], &B, 2, P_16);
    fp2_sub_scaled(&T->X, &F, &D, 1, P_64);
    fp2_add(&u, &T->Y, &T->Z);
    fp2_sqr(&u, &u);
    fp2_sub2(&T->Z, &u, &B, &ZZ, P_8);
    fp2_sub(&u, &D, &T->X, P_128);
    fp2_mul(&u, &u, &E);
    fp2_sub_scaled(&T->Y, &u, &C, 3, P_32);
    fp2_mul(&l[1], &E, &ZZ);
    fp2_mul(&l[2], &T->Z, &ZZ);
    g2_expect(T);
}

/* T = T + q, and the line through both, as above; T is neither q nor -q */
SHARED void line_add(fp2 l[3], g2_jacobian *T, const g2_affine *q)
{
    fp2 ZZ, H, HH, I, J, R, V, t, u;
    fp2_sqr(&ZZ, &T->Z);
    fp2_mul(&H, &q->x, &ZZ);
    fp2_mul(&t, &q->y, &T->Z);
    fp2_mul(&t, &t, &ZZ);
    fp2_sub(&H, &H, &T->X, P_128);
    fp2_sqr(&HH, &H);
    fp2_scale(&I, &HH, 2);
    fp2_mul(&J, &H, &I);
    fp2_twice_sub(&R, &t, &T->Y, P_128);
    fp2_mul(&V, &T->X, &I);
    fp2_sqr(&t, &R);
    fp2_sub_b_2c(&T->X, &t, &J, &V, P_8);
    fp2_mul(&J, &J, &T->Y);
    fp2_sub(&u, &V, &T->X, P_16);
    fp2_mul(&u, &u, &R);
    fp2_sub_scaled(&T->Y, &u, &J, 1, P_8);
    fp2_add(&u, &T->Z, &H);
    fp2_sqr(&u, &u);
    fp2_sub2(&T->Z, &u, &ZZ, &HH, P_8);
    fp2_mul(&I, &R, &q->x);
    fp2_mul(&J, &q->y, &T->Z);
    fp2_twice_sub(&l[0], &I, &J, P_8);
    l[1] = R;
    l[2] = T->Z;
    g2_expect(T);
}

/* f = f l, for the point (-x / 2, y / 2) whose coordinates `twice` has; 1 for a line outside `active` */
SHARED void absorb(fp12 *f, fp2 l[3], const g1_affine *twice, lane_mask active)
{
    fp2 one, zero;
    fp2_set_one(&one);
    fp_clear(&zero.c0);
    fp_clear(&zero.c1);
    fp2_mul_fp(&l[1], &l[1], &twice->x);
    fp2_mul_fp(&l[2], &l[2], &twice->y);
    if (active != 0xff) {
        fp2_select(&l[0], active, &one, &l[0]);
        fp2_select(&l[1], active, &zero, &l[1]);
        fp2_select(&l[2], active, &zero, &l[2]);
    }
    fp12_mul_line(f, l);
}

/* At most so many pairs share squarings. */
#define PAIRS 8

typedef struct { g1_affine p[PAIRS], twice[PAIRS]; g2_affine q[PAIRS]; g2_jacobian T[PAIRS]; fp12 f; } miller_room;

/* room->f = product of the Miller values of pairs p[k], q[k], k < n, in the lanes active[k]. Returned: where all is
 * well.
 */
SHARED lane_mask miller_loops(miller_room *room, const lane_mask *active, int n)
{
    fp12 *f = &room->f;
    const g1_affine *p = room->p;
    const g2_affine *q = room->q;
    g2_jacobian *T = room->T;
    g1_affine *twice = room->twice;
    fp2 l[3];
    lane_mask well = 0xff;
    fp2_set_one(&f->c[0]);
    for (int k = 1; k < 6; k++) {
        fp_clear(&f->c[k].c0);
        fp_clear(&f->c[k].c1);
    }
    for (int k = 0; k < n; k++) {
        fp x2;
        fp_scale(&x2, &p[k].x, 1);
        fp_negate(&twice[k].x, &x2, P_4);
        fp_scale(&twice[k].y, &p[k].y, 1);
        g2_from_affine(&T[k], &q[k]);
    }
    for (int i = 0; i < X_ONES; i++) {
        for (int k = 0; k < n && i; k++) {
            line_add(l, &T[k], &q[k]);
            absorb(f, l, &twice[k], active[k]);
        }
        for (int d = 0; d < X_DOUBLINGS[i]; d++) {
            if (i || d)
                fp12_sqr(f);
            for (int k = 0; k < n; k++) {
                line_double(l, &T[k]);
                absorb(f, l, &twice[k], active[k]);
            }
        }
    }
    for (int k = 0; k < n; k++)
        well &= (lane_mask) ~(fp2_is_zero(&T[k].Z) & active[k]);
    for (int k = 3; k < 6; k++)  /* x is negative: the conjugate */
        fp2_negate(&f->c[k], &f->c[k], P_4);
    return well;
}
