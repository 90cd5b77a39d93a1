/* What primitives_points.c has, row by row with blst, for tests. Any points are allowed, in any order, also infinity:
 * a Z of 0, and as an affine point zeros.
 */
#include <blst.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default"), used))
#define EACH_ROW for (size_t i = 0; i < n; i++)
#define PARAMETER 0xd201000000010000ull  /* |x| */

static int fp_is_zero(const blst_fp *a)
{
    static const blst_fp zero;
    return memcmp(a, &zero, sizeof zero) == 0;
}

#define p1_in_group blst_p1_affine_in_g1
#define p2_in_group blst_p2_affine_in_g2

/* test_.._rescale: out = the point with this Z.  _equal: whether points are.  _exceptional: whether the sum is one of
 * equal or opposite points, or of infinity. */
#define CURVE_FUNCTIONS(g, p, fp) \
    EXPORT void test_##g##_rescale(blst_##p *out, const blst_##p##_affine *a, const blst_##fp *z, size_t n) \
    { \
        EACH_ROW { \
            blst_##fp square; \
            blst_##fp##_sqr(&square, &z[i]); \
            blst_##fp##_mul(&out[i].x, &a[i].x, &square); \
            blst_##fp##_mul(&square, &square, &z[i]); \
            blst_##fp##_mul(&out[i].y, &a[i].y, &square); \
            out[i].z = z[i]; \
        } \
    } \
    /* out[i] = a[i] + b[i] of affine points; no sum is infinity. Returned: whether there was memory. */ \
    EXPORT int test_##g##_sums(blst_##p##_affine *out, const blst_##p##_affine *a, const blst_##p##_affine *b, size_t n) \
    { \
        blst_##p *sums = malloc(n * sizeof *sums); \
        const blst_##p *contiguous[] = {sums, NULL}; \
        if (!sums) \
            return 0; \
        EACH_ROW { \
            blst_##p##_from_affine(&sums[i], &a[i]); \
            blst_##p##_add_or_double_affine(&sums[i], &sums[i], &b[i]); \
        } \
        blst_##p##s_to_affine(out, contiguous, n); \
        free(sums); \
        return 1; \
    } \
    EXPORT void test_##g##_compress(uint8_t (*out)[48 * sizeof(blst_##fp) / sizeof(blst_fp)], \
                                    const blst_##p##_affine *a, size_t n) \
    { \
        EACH_ROW blst_##p##_affine_compress(out[i], &a[i]); \
    } \
    EXPORT void test_##g##_negate(blst_##p *a, size_t n) \
    { \
        EACH_ROW blst_##p##_cneg(&a[i], 1); \
    } \
    EXPORT void test_##g##_equal(uint8_t *out, const blst_##p *a, const blst_##p *b, size_t n) \
    { \
        EACH_ROW out[i] = blst_##p##_is_equal(&a[i], &b[i]); \
    } \
    EXPORT void test_##g##_exceptional(uint8_t *out, const blst_##p *a, const blst_##p *b, size_t n) \
    { \
        EACH_ROW { \
            blst_##p minus = b[i]; \
            blst_##p##_cneg(&minus, 1); \
            out[i] = blst_##p##_is_inf(&a[i]) || blst_##p##_is_inf(&b[i]) || blst_##p##_is_equal(&a[i], &b[i]) \
                || blst_##p##_is_equal(&a[i], &minus); \
        } \
    } \
    EXPORT void test_##g##_double(blst_##p *out, const blst_##p *a, size_t n) \
    { \
        EACH_ROW blst_##p##_double(&out[i], &a[i]); \
    } \
    EXPORT void test_##g##_add(blst_##p *out, const blst_##p *a, const blst_##p *b, size_t n) \
    { \
        EACH_ROW blst_##p##_add_or_double(&out[i], &a[i], &b[i]); \
    } \
    EXPORT void test_##g##_add_affine(blst_##p *out, const blst_##p *a, const blst_##p##_affine *b, size_t n) \
    { \
        EACH_ROW blst_##p##_add_or_double_affine(&out[i], &a[i], &b[i]); \
    } \
    /* By doublings and additions alone, as blst multiplies in the group in other ways. */ \
    EXPORT void test_##g##_multiply_by_x(blst_##p *out, const blst_##p *a, size_t n) \
    { \
        EACH_ROW { \
            blst_##p sum = a[i]; \
            for (int bit = 62; bit >= 0; bit--) { \
                blst_##p##_double(&sum, &sum); \
                if (PARAMETER >> bit & 1) \
                    blst_##p##_add_or_double(&sum, &sum, &a[i]); \
            } \
            out[i] = sum; \
        } \
    } \
    EXPORT void test_##g##_in_group(uint8_t *well, const blst_##p##_affine *a, size_t n) \
    { \
        EACH_ROW well[i] = p##_in_group(&a[i]); \
    } \
    EXPORT void test_##g##_to_affine(blst_##p##_affine *out, uint8_t *well, const blst_##p *a, size_t n) \
    { \
        EACH_ROW { \
            well[i] = !blst_##p##_is_inf(&a[i]); \
            blst_##p##_to_affine(&out[i], &a[i]); \
        } \
    }

CURVE_FUNCTIONS(g1, p1, fp)
CURVE_FUNCTIONS(g2, p2, fp2)

/* psi of a point of the group is |x| times it, negated. */
EXPORT void test_g2_psi(blst_p2 *out, const blst_p2 *a, size_t n)
{
    test_g2_multiply_by_x(out, a, n);
    EACH_ROW blst_p2_cneg(&out[i], 1);
}

/* out = the sum of n points */
EXPORT void test_g2_sum(blst_p2 *out, const blst_p2 *a, size_t n)
{
    memset(out, 0, sizeof *out);
    EACH_ROW blst_p2_add_or_double(out, out, &a[i]);
}

/* --- operations --- */

EXPORT void test_decode_g1(blst_p1_affine *points, uint8_t *well, const uint8_t (*rows)[48], size_t n, int group)
{
    EACH_ROW well[i] = blst_p1_uncompress(&points[i], rows[i]) == BLST_SUCCESS && !blst_p1_affine_is_inf(&points[i])
        && (!group || blst_p1_affine_in_g1(&points[i]));
}

EXPORT void test_decode_g2(blst_p2_affine *points, uint8_t *well, const uint8_t (*rows)[96], size_t n, int group)
{
    EACH_ROW well[i] = blst_p2_uncompress(&points[i], rows[i]) == BLST_SUCCESS && !blst_p2_affine_is_inf(&points[i])
        && (!group || blst_p2_affine_in_g2(&points[i]));
}

EXPORT void test_in_g2(uint8_t *well, const blst_p2_affine *points, size_t n)
{
    test_g2_in_group(well, points, n);
}

/* Of 64 big-endian bytes: a 2^384 + b. */
static void field_element(blst_fp *out, const uint8_t uniform[64])
{
    static const uint8_t half_shift[48] = {[23] = 1};  /* 2^192 */
    uint8_t high[48] = {0};
    blst_fp a, shift;
    memcpy(high + 32, uniform, 16);
    blst_fp_from_bendian(&a, high);
    blst_fp_from_bendian(&shift, half_shift);
    blst_fp_mul(&a, &a, &shift);
    blst_fp_mul(&a, &a, &shift);
    blst_fp_from_bendian(out, uniform + 16);
    blst_fp_add(out, out, &a);
}

EXPORT void test_hash_to_g2(blst_p2_affine *points, uint8_t *well, const uint8_t (*uniform)[256], size_t n)
{
    EACH_ROW {
        blst_fp2 u[2];
        blst_p2 point;
        for (int k = 0; k < 4; k++)
            field_element(&u[k / 2].fp[k % 2], uniform[i] + 64 * k);
        blst_map_to_g2(&point, &u[0], &u[1]);
        well[i] = !blst_p2_is_inf(&point);
        blst_p2_to_affine(&points[i], &point);
    }
}

/* word P = a P + b x^2 P of the halves of a word less 0x88888888: see weights.h */
#define WEIGHT(g, p) \
    static void g##_weigh(blst_##p *out, const blst_##p##_affine *point, uint64_t word) \
    { \
        blst_##p one, other; \
        blst_##p##_from_affine(&one, point); \
        test_##g##_multiply_by_x(&other, &one, 1); \
        test_##g##_multiply_by_x(&other, &other, 1); \
        g##_multiply_signed(&one, (int64_t) (word & 0xffffffff) - 0x88888888); \
        g##_multiply_signed(&other, (int64_t) (word >> 32) - 0x88888888); \
        blst_##p##_add_or_double(out, &one, &other); \
    }
#define SIGNED(g, p) \
    static void g##_multiply_signed(blst_##p *point, int64_t k) \
    { \
        uint64_t size = (uint64_t) (k < 0 ? -k : k); \
        blst_##p##_mult(point, point, (const byte *) &size, 33); \
        blst_##p##_cneg(point, k < 0); \
    }
SIGNED(g1, p1)
SIGNED(g2, p2)
WEIGHT(g1, p1)
WEIGHT(g2, p2)

EXPORT void test_weight_g1(blst_p1_affine *out, uint8_t *well, const blst_p1_affine *points, const uint64_t *words,
                           size_t n)
{
    EACH_ROW {
        blst_p1 point;
        g1_weigh(&point, &points[i], words[i]);
        well[i] = !blst_p1_is_inf(&point);
        blst_p1_to_affine(&out[i], &point);
    }
}

EXPORT void test_multiply_g2(blst_p2_affine *out, uint8_t *well, const blst_p2_affine *points,
                             const uint64_t (*scalars)[4], size_t n)
{
    EACH_ROW {
        blst_p2 point;
        blst_p2_from_affine(&point, &points[i]);
        blst_p2_mult(&point, &point, (const byte *) scalars[i], 255);
        well[i] = !blst_p2_is_inf(&point);
        blst_p2_to_affine(&out[i], &point);
    }
}

/* out[j] = the sum of words[i] points[i] of rows j * group .. */
EXPORT void test_weighted_sums(blst_p2 *out, const blst_p2_affine *points, const uint64_t *words, size_t n,
                               size_t group)
{
    memset(out, 0, (n + group - 1) / group * sizeof *out);
    EACH_ROW {
        blst_p2 point;
        g2_weigh(&point, &points[i], words[i]);
        blst_p2_add_or_double(&out[i / group], &out[i / group], &point);
    }
}

/* Whether values[j] is the product of the Miller values of pairs j * group .., but for a factor in Fp6 or w Fp6: then
 * values[j] times the conjugate of that product has only one part, without w or of w, as a b* = (a / b) b b* and b b*
 * is in Fp6. The final exponentiation makes such a factor 1: p^6 - 1 makes it 1 or -1, the rest of the exponent is even.
 */
EXPORT void test_miller_agrees(uint8_t *out, const blst_fp12 *values, const blst_p1_affine *p,
                               const blst_p2_affine *q, size_t n, size_t group)
{
    for (size_t j = 0; j * group < n; j++) {
        const blst_p1_affine *ps[] = {p + j * group, NULL};
        const blst_p2_affine *qs[] = {q + j * group, NULL};
        size_t some = n - j * group < group ? n - j * group : group;
        blst_fp12 product;
        blst_miller_loop_n(&product, qs, ps, some);
        blst_fp12_conjugate(&product);
        blst_fp12_mul(&product, &product, &values[j]);
        int any = 0, of_w = 0;
        for (int k = 0; k < 6; k++) {
            any |= !fp_is_zero(&product.fp6[0].fp2[k / 2].fp[k % 2]);
            of_w |= !fp_is_zero(&product.fp6[1].fp2[k / 2].fp[k % 2]);
        }
        out[j] = any != of_w;
    }
}

/* --- G1 --- */

EXPORT void test_in_g1(uint8_t *well, const blst_p1_affine *points, size_t n)
{
    EACH_ROW well[i] = blst_p1_affine_in_g1(&points[i]);
}

static void write_finite(blst_p1_affine *out, uint8_t *well, const blst_p1 *point)
{
    *well = !blst_p1_is_inf(point);
    blst_p1_to_affine(out, point);
}

EXPORT void test_add_g1(blst_p1_affine *totals, uint8_t *well, const blst_p1_affine *terms, size_t n)
{
    EACH_ROW {
        blst_p1 sum;
        blst_p1_from_affine(&sum, &totals[i]);
        blst_p1_add_or_double_affine(&sum, &sum, &terms[i]);
        write_finite(&totals[i], &well[i], &sum);
    }
}

EXPORT void test_values_g1(blst_p1_affine *out, uint8_t *well, const blst_p1_affine *points, size_t n, size_t t,
                           size_t count)
{
    EACH_ROW {
        well[i] = 1;
        for (size_t j = 1; j <= count; j++) {
            uint8_t x = (uint8_t) j, finite;
            blst_p1 value;
            blst_p1_from_affine(&value, &points[i * t + t - 1]);
            for (size_t k = t - 1; k-- > 0;) {
                blst_p1_mult(&value, &value, &x, 8);
                blst_p1_add_or_double_affine(&value, &value, &points[i * t + k]);
            }
            write_finite(&out[i * count + j - 1], &finite, &value);
            well[i] &= finite;
        }
    }
}

EXPORT void test_multiply_base(blst_p1_affine *out, uint8_t *well, const uint64_t (*scalars)[4], const void *table,
                               size_t n)
{
    (void) table;
    EACH_ROW {
        blst_p1 point;
        blst_p1_mult(&point, blst_p1_generator(), (const byte *) scalars[i], 255);
        write_finite(&out[i], &well[i], &point);
    }
}

/* out[w][j] = (2 j + 1) 256^w times the generator */
EXPORT void test_generator_table(blst_p1_affine (*out)[128], size_t n)
{
    blst_p1 base = *blst_p1_generator(), twice, point;
    EACH_ROW {
        point = base;
        blst_p1_double(&twice, &base);
        for (size_t j = 0; j < 128; j++) {
            blst_p1_to_affine(&out[i][j], &point);
            blst_p1_add_or_double(&point, &point, &twice);
        }
        for (int d = 0; d < 8; d++)
            blst_p1_double(&base, &base);
    }
}

/* sums[w] = the sum of points[i] times byte w of words[i] less 128 */
EXPORT void test_sum_g1(blst_p1 *sums, const blst_p1_affine *points, const uint64_t *words, size_t n)
{
    memset(sums, 0, 8 * sizeof *sums);
    EACH_ROW {
        for (int w = 0; w < 8; w++) {
            int digit = (int) (words[i] >> 8 * w & 255) - 128;
            uint8_t size = (uint8_t) (digit < 0 ? -digit : digit);
            blst_p1 point;
            blst_p1_from_affine(&point, &points[i]);
            blst_p1_mult(&point, &point, &size, 8);
            blst_p1_cneg(&point, digit < 0);
            blst_p1_add_or_double(&sums[w], &sums[w], &point);
        }
    }
}
