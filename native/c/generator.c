/* generator.h on blst. C, as what is secret must be in reach of scripts/check-constant-time. */
#include "generator.h"
#include <blst.h>
#include <string.h>

#define TOGETHER 128  /* rows that share inversions */
#define WORDS 6       /* of an element of Fp */

typedef struct {
    uint64_t digits[TOGETHER][4];
    blst_p1_affine sums[TOGETHER], terms[TOGETHER];
    blst_fp denominators[TOGETHER], prefixes[TOGETHER];
    uint64_t zero[TOGETHER];  /* all bits: an addition had an exception */
} room;

/* All bits where a is 0, else none. */
static uint64_t mask_of_zero(uint64_t a) { return ((a | (0 - a)) >> 63) - 1; }

/* Two words side by side, which every compiler keeps in a register. */
typedef uint64_t pair __attribute__((vector_size(16), aligned(8)));
#define PAIRS 6  /* of a point */

/* out = digit w times 256^w times the generator */
static void look_up(blst_p1_affine *out, const uint64_t table[GENERATOR_MULTIPLES][12], const uint64_t digits[4], int w)
{
    uint64_t byte = digits[w / 8] >> 8 * (w % 8) & 255, negative = byte >> 7 ^ 1;
    uint64_t index = (byte & 127) ^ (127 & (0 - negative));
    pair a = {0}, b = a, c = a, d = a, e = a, f = a;
    for (uint64_t i = 0; i < GENERATOR_MULTIPLES; i++) {
        const pair *entry = (const pair *) table[i];
        pair here = {0};
        here += mask_of_zero(i ^ index);
        a |= entry[0] & here;
        b |= entry[1] & here;
        c |= entry[2] & here;
        d |= entry[3] & here;
        e |= entry[4] & here;
        f |= entry[5] & here;
    }
    pair words[PAIRS] = {a, b, c, d, e, f};
    memcpy(out, words, sizeof *out);
    blst_fp_cneg(&out->y, &out->y, negative);
}

/* sums[i] += terms[i] */
static void add(room *r, const blst_fp *one, int n)
{
    blst_fp product = *one, inverse, slope, x;
    for (int i = 0; i < n; i++) {
        uint64_t any = 0, *words = r->denominators[i].l;
        blst_fp_sub(&r->denominators[i], &r->terms[i].x, &r->sums[i].x);
        for (int k = 0; k < WORDS; k++)
            any |= words[k];
        any = mask_of_zero(any);
        r->zero[i] |= any;
        for (int k = 0; k < WORDS; k++)
            words[k] |= one->l[k] & any;
        r->prefixes[i] = product;
        blst_fp_mul(&product, &product, &r->denominators[i]);
    }
    blst_fp_inverse(&product, &product);
    for (int i = n - 1; i >= 0; i--) {
        blst_p1_affine *sum = &r->sums[i];
        blst_fp_mul(&inverse, &product, &r->prefixes[i]);
        blst_fp_mul(&product, &product, &r->denominators[i]);
        blst_fp_sub(&slope, &r->terms[i].y, &sum->y);
        blst_fp_mul(&slope, &slope, &inverse);
        blst_fp_sqr(&x, &slope);
        blst_fp_sub(&x, &x, &sum->x);
        blst_fp_sub(&x, &x, &r->terms[i].x);
        blst_fp_sub(&sum->x, &sum->x, &x);
        blst_fp_mul(&slope, &slope, &sum->x);
        blst_fp_sub(&sum->y, &slope, &sum->y);
        sum->x = x;
    }
}

static void *(*const volatile wipe_memset)(void *, int, size_t) = memset;

void generator_multiply(uint64_t (*points)[12], uint8_t *well, const uint64_t (*scalars)[4],
                        const uint64_t (*table)[GENERATOR_MULTIPLES][12], size_t n)
{
    room r;
    blst_fp one = blst_p1_generator()->z;
    for (size_t first = 0; first < n; first += TOGETHER) {
        int size = (int) (n - first < TOGETHER ? n - first : TOGETHER);
        memset(r.zero, 0, sizeof r.zero);
        for (int i = 0; i < size; i++) {
            generator_digits(r.digits[i], scalars[first + (size_t) i]);
            look_up(&r.sums[i], table[0], r.digits[i], 0);
        }
        for (int w = 1; w < GENERATOR_WINDOWS; w++) {
            for (int i = 0; i < size; i++)
                look_up(&r.terms[i], table[w], r.digits[i], w);
            add(&r, &one, size);
        }
        for (int i = 0; i < size; i++) {
            memcpy(points[first + (size_t) i], &r.sums[i], sizeof r.sums[i]);
            well[first + (size_t) i] = (uint8_t) (r.zero[i] + 1);
        }
    }
    wipe_memset(&r, 0, sizeof r);
}
