/* The functions of points, and the operations, for tests: rows in blst's form, which are lifted to unreduced
 * elements on the way in.
 *
 * Rows are words of 64 bits: affine points have 12 or 24, Jacobian ones 18 or 36. n is any number but 0.
 */
#include "api.h"
#include "map.h"
#include "pairing.h"
#include "rows.h"

#define EXPORT __attribute__((visibility("default"), used))
#define EACH_GROUP for (size_t first = 0; first < n; first += LANES)

/* Of a Jacobian point, see curve.h: what is loaded is below 2 p. */
#define LIFT_X 68
#define LIFT_Y 62
#define LIFT_Z 62
#define LIFT_AFFINE 62

/* a += k p of some k below `most` in each lane, which the lowest limb decides */
static void fp_lift(fp *a, unsigned most)
{
    lanes k = lane_madd_hi(lane_set(0), a->limb[0], lane_set(most)), t[LIMBS + 1];
    EACH_LIMB t[j] = a->limb[j];
    t[LIMBS] = lane_set(0);
#ifdef LANES_CHECKED
    double bound = a->bound + most;
#endif
    EACH_LIMB {
        t[j] = lane_madd_lo(t[j], k, lane_set(P_LIMBS[j]));
        t[j + 1] = lane_madd_hi(t[j + 1], k, lane_set(P_LIMBS[j]));
    }
    carry(a, t);
    fp_declare(a, bound);
}

static void fp2_lift(fp2 *a, unsigned most)
{
    fp_lift(&a->c0, most);
    fp_lift(&a->c1, most);
}

#define FIELD(name) fp_##name
#define CURVE(name) g1_##name
#define TEST(name) test_g1_##name
#define FIELD_BYTES 48
#include "primitives_curve.h"
#undef FIELD
#undef CURVE
#undef TEST
#undef FIELD_BYTES

#define FIELD(name) fp2_##name
#define CURVE(name) g2_##name
#define TEST(name) test_g2_##name
#define FIELD_BYTES 96
#include "primitives_curve.h"
#undef FIELD
#undef CURVE
#undef TEST
#undef FIELD_BYTES

EXPORT void test_g2_psi(char *out, const char *p, size_t n)
{
    EACH_GROUP {
        g2_jacobian x, z;
        g2_load_jacobian(&x, p, offsets_of(first, n, sizeof(uint64_t[36])));
        g2_psi(&z, &x);
        g2_store_jacobian(out, offsets_of(first, n, sizeof(uint64_t[36])), &z);
    }
}

/* --- the operations --- */

#ifdef LANES_CHECKED
#define BUILD lanes_checked
#else
#define BUILD lanes_ifma
#endif

#define OPERATION(name) EXPORT const void *const *test_##name(void) { return (const void *const *) &BUILD.name; }
OPERATION(scratch_bytes)
OPERATION(decode_g1)
OPERATION(decode_g2)
OPERATION(in_g1)
OPERATION(in_g2)
OPERATION(hash_to_g2)
OPERATION(add_g1)
OPERATION(values_g1)
OPERATION(weight_g1)
OPERATION(multiply_g2)
OPERATION(multiply_base)
OPERATION(make_table)
OPERATION(miller)
OPERATION(weighted_sums)
OPERATION(sum_by_buckets)
OPERATION(sum_g1)
