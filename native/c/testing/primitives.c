/* The field functions for tests: rows of 8 limbs as they are, so that operands need not be reduced.
 *
 * Every function does n rows, a multiple of 8; `bound` is that of all operands in units of p.
 */
#include "map.h"
#include "pairing.h"

#define EXPORT __attribute__((visibility("default"), used))
/* Groups of eight rows of `row` limbs each. */
#define EACH_GROUP(row) \
    for (size_t first = 0; first < n; first += LANES, out += LANES * (row), a += LANES * (row), b += LANES * (row))

static void read_rows(fp *out, const uint64_t *rows, size_t row_limbs, double bound)
{
    (void) bound;
    EACH_LIMB {
        uint64_t words[LANES];
        for (size_t lane = 0; lane < LANES; lane++)
            words[lane] = rows[lane * row_limbs + (size_t) j];
        out->limb[j] = lane_load(words);
    }
    fp_declare(out, bound);
}

static void write_rows(uint64_t *rows, size_t row_limbs, const fp *a)
{
    EACH_LIMB {
        uint64_t words[LANES];
        lane_store(words, a->limb[j]);
        for (size_t lane = 0; lane < LANES; lane++)
            rows[lane * row_limbs + (size_t) j] = words[lane];
    }
}

/* out = 1, as it is, where m, else 0 */
static void bits_of(fp *out, lane_mask m)
{
    fp_clear(out);
    out->limb[0] = lane_select(m, out->limb[0], lane_set(1));
}

/* out = 1 / a; 0 of 0 */
static void invert_or_zero(fp *out, const fp *a)
{
    fp inverse = *a, room, nothing;
    lane_mask zero;
    fp_divide_each(&inverse, &room, &zero, NULL, 1);
    fp_clear(&nothing);
    fp_select(out, zero, &inverse, &nothing);
}

#define FP_FUNCTION(name, statement) \
    EXPORT void test_fp_##name(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t n, double bound) \
    { \
        EACH_GROUP(LIMBS) { \
            fp x, y, z; \
            read_rows(&x, a, LIMBS, bound); \
            read_rows(&y, b, LIMBS, bound); \
            statement; \
            write_rows(out, LIMBS, &z); \
        } \
    }

FP_FUNCTION(mul, fp_mul(&z, &x, &y))
FP_FUNCTION(mul2, fp_mul2(&z, &x, &y, &y, &y))
FP_FUNCTION(mul_twice, fp_mul_twice(&z, &x, &y))
FP_FUNCTION(sqr, fp_sqr(&z, &x))
FP_FUNCTION(sqr_9_sub_8, fp_sqr(&y, &y); fp_sqr_9_sub_8(&z, &x, &y))
FP_FUNCTION(add, fp_add(&z, &x, &y))
FP_FUNCTION(scale, fp_scale(&z, &x, 3))
FP_FUNCTION(sub, fp_sub(&z, &x, &y, P_512))
FP_FUNCTION(sub2, fp_sub2(&z, &x, &y, &y, P_512))
FP_FUNCTION(sub_b_2c, fp_sub_b_2c(&z, &x, &y, &x, P_512))
FP_FUNCTION(12a_3b, fp_scale(&y, &y, 3); fp_12a_3b(&z, &x, &y))
FP_FUNCTION(triple, fp_triple(&z, &x))
FP_FUNCTION(negate, fp_negate(&z, &x, P_512))
FP_FUNCTION(halve, fp_halve(&z, &x))
FP_FUNCTION(canonical, fp_canonical(&z, &x))
FP_FUNCTION(is_zero, bits_of(&z, fp_is_zero(&x)))
FP_FUNCTION(equal, bits_of(&z, fp_equal(&x, &y)))
FP_FUNCTION(is_larger, bits_of(&z, fp_is_larger(&x)))
FP_FUNCTION(swap, fp_swap(&z, &x, 1); fp_swap(&z, &z, 2); fp_swap(&z, &z, 4))
FP_FUNCTION(invert, invert_or_zero(&z, &x))
FP_FUNCTION(reciprocal_root, fp_reciprocal_roots(&z, &x, 1))

#define FP2_FUNCTION(name, statement) \
    EXPORT void test_fp2_##name(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t n, double bound) \
    { \
        EACH_GROUP(2 * LIMBS) { \
            fp2 x, y, z; \
            read_rows(&x.c0, a, 2 * LIMBS, bound); \
            read_rows(&x.c1, a + LIMBS, 2 * LIMBS, bound); \
            read_rows(&y.c0, b, 2 * LIMBS, bound); \
            read_rows(&y.c1, b + LIMBS, 2 * LIMBS, bound); \
            statement; \
            write_rows(out, 2 * LIMBS, &z.c0); \
            write_rows(out + LIMBS, 2 * LIMBS, &z.c1); \
        } \
    }

/* a + a b + b^2 */
static void add_products_of(fp2 *out, const fp2 *a, const fp2 *b)
{
    factor x, y, z;
    set_factor(&x, a);
    set_factor(&y, b);
    fp2_add_mul2(&z, &x, &x, &y, &y, &y);
    *out = (fp2) {z.c0, z.c1};
}

/* a b + b^2 + a^2 */
static void products_of(fp2 *out, const fp2 *a, const fp2 *b)
{
    factor x, y;
    set_factor(&x, a);
    set_factor(&y, b);
    fp2_mul3(out, &x, &y, &y, &y, &x, &x);
}

/* out = 1 / a; 0 of 0 */
static void fp2_invert(fp2 *out, const fp2 *a)
{
    fp norm;
    fp2_norm(&norm, a);
    invert_or_zero(&norm, &norm);
    fp2_invert_by_norm(out, a, &norm);
}

/* A root of a^2. */
static void root_of_square(fp2 *out, const fp2 *a)
{
    fp2 square;
    lane_mask found;
    fp2_sqr(&square, a);
    fp2_roots(out, &square, &found, 1);
}

FP2_FUNCTION(mul, fp2_mul(&z, &x, &y))
FP2_FUNCTION(mul_conjugate, fp2_mul_conjugate(&z, &x, &y, P_512))
FP2_FUNCTION(mul2, fp2_mul2(&z, &x, &y, &y, &y))
FP2_FUNCTION(mul_twice, fp2_mul_twice(&z, &x, &y))
FP2_FUNCTION(sqr, fp2_sqr(&z, &x))
FP2_FUNCTION(sqr_9_sub_8, fp2_sqr(&y, &y); fp2_sqr_9_sub_8(&z, &x, &y))
FP2_FUNCTION(norm, z.c1 = x.c0; fp2_norm(&z.c0, &x))
FP2_FUNCTION(sub2_reduced, fp2_sub2_reduced(&z, &x, &y, &y, P_32))
FP2_FUNCTION(add_mul2, add_products_of(&z, &x, &y))
FP2_FUNCTION(mul3, products_of(&z, &x, &y))
FP2_FUNCTION(mul_fp, fp2_mul_fp(&z, &x, &y.c0))
FP2_FUNCTION(negate_scaled, fp2_negate_scaled(&z, &x, 2, P_512))
FP2_FUNCTION(add, fp2_add(&z, &x, &y))
FP2_FUNCTION(sub, fp2_sub(&z, &x, &y, P_512))
FP2_FUNCTION(conjugate, fp2_conjugate(&z, &x, P_512))
FP2_FUNCTION(root, root_of_square(&z, &x))
FP2_FUNCTION(invert, fp2_invert(&z, &x))
