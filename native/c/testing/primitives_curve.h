/* The functions of curve.h for tests. Included like it, once for each field, with TEST(name) too. */


static void CURVE(load_jacobian)(CURVE(jacobian) *out, const char *rows, lanes offsets)
{
    FIELD(load)(&out->X, rows, offsets);
    FIELD(load)(&out->Y, rows + FIELD_BYTES, offsets);
    FIELD(load)(&out->Z, rows + 2 * FIELD_BYTES, offsets);
    FIELD(lift)(&out->X, LIFT_X);
    FIELD(lift)(&out->Y, LIFT_Y);
    FIELD(lift)(&out->Z, LIFT_Z);
}

static void CURVE(store_jacobian)(char *rows, lanes offsets, const CURVE(jacobian) *p)
{
    FIELD(store)(rows, offsets, &p->X);
    FIELD(store)(rows + FIELD_BYTES, offsets, &p->Y);
    FIELD(store)(rows + 2 * FIELD_BYTES, offsets, &p->Z);
}

static void CURVE(load_affine)(CURVE(affine) *out, const char *rows, lanes offsets)
{
    CURVE(load)(out, rows, offsets);
    FIELD(lift)(&out->x, LIFT_AFFINE);
    FIELD(lift)(&out->y, LIFT_AFFINE);
}

EXPORT void TEST(double)(char *out, const char *p, size_t n)
{
    EACH_GROUP {
        lanes offsets = offsets_of(first, n, 3 * FIELD_BYTES);
        CURVE(jacobian) x, z;
        CURVE(load_jacobian)(&x, p, offsets);
        CURVE(double)(&z, &x);
        CURVE(store_jacobian)(out, offsets, &z);
    }
}

EXPORT void TEST(add)(char *out, const char *p, const char *q, size_t n)
{
    EACH_GROUP {
        lanes offsets = offsets_of(first, n, 3 * FIELD_BYTES);
        CURVE(jacobian) x, y, z;
        CURVE(load_jacobian)(&x, p, offsets);
        CURVE(load_jacobian)(&y, q, offsets);
        CURVE(add)(&z, &x, &y);
        CURVE(store_jacobian)(out, offsets, &z);
    }
}

EXPORT void TEST(add_affine)(char *out, const char *p, const char *q, size_t n)
{
    EACH_GROUP {
        lanes offsets = offsets_of(first, n, 3 * FIELD_BYTES);
        CURVE(jacobian) x, z;
        CURVE(affine) y;
        CURVE(load_jacobian)(&x, p, offsets);
        CURVE(load_affine)(&y, q, offsets_of(first, n, 2 * FIELD_BYTES));
        CURVE(add_affine)(&z, &x, &y);
        CURVE(store_jacobian)(out, offsets, &z);
    }
}

EXPORT void TEST(multiply_by_x)(char *out, const char *p, size_t n)
{
    EACH_GROUP {
        lanes offsets = offsets_of(first, n, 3 * FIELD_BYTES);
        CURVE(jacobian) x, z;
        CURVE(load_jacobian)(&x, p, offsets);
        CURVE(multiply_by_x)(&z, &x);
        CURVE(store_jacobian)(out, offsets, &z);
    }
}

EXPORT void TEST(in_group)(uint8_t *well, const char *q, size_t n)
{
    EACH_GROUP {
        CURVE(affine) x;
        CURVE(load_affine)(&x, q, offsets_of(first, n, 2 * FIELD_BYTES));
        write_mask(well, first, n, CURVE(in_group)(&x));
    }
}

/* well[i] = 0 of a point whose Z is 0 */
EXPORT void TEST(to_affine)(char *out, uint8_t *well, const char *p, size_t n)
{
    for (size_t begin = 0; begin < n; begin += LANES * GROUPS) {
        CURVE(jacobian) x[GROUPS];
        CURVE(affine) z[GROUPS];
        lane_mask zero[GROUPS];
        int groups = 0;
        for (size_t first = begin; first < n && groups < GROUPS; first += LANES)
            CURVE(load_jacobian)(&x[groups++], p, offsets_of(first, n, 3 * FIELD_BYTES));
        CURVE(to_affine)(z, x, zero, groups);
        for (int k = 0; k < groups; k++) {
            CURVE(store)(out, offsets_of(begin + k * LANES, n, 2 * FIELD_BYTES), &z[k]);
            write_mask(well, begin + k * LANES, n, (lane_mask) ~zero[k]);
        }
    }
}

