/* lanes.h in portable C: every operand is checked, and the checks are counted.
 *
 * A failed check ends the process: it is an error of the formulas, for whatever input. With LANES_UNCHECKED there are
 * none, as they branch on values: then nothing does, which scripts/check-constant-time shows.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

typedef struct { uint64_t word[LANES]; } lanes;

static _Thread_local uint64_t lane_checks;

#define CHECK(condition) CHECK_LANES(1, condition)
#ifdef LANES_UNCHECKED
#define CHECK_LANES(count, condition) ((void) (condition))
#else
#define CHECK_LANES(count, condition) \
    do { \
        lane_checks += count; \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__, #condition); \
            abort(); \
        } \
    } while (0)
#endif

#define EACH_LANE for (int lane = 0; lane < LANES; lane++)
#define OF_EACH_LANE(expression) \
    lanes out; \
    EACH_LANE out.word[lane] = (uint64_t) (expression); \
    return out
#define MASK_OF_EACH_LANE(condition) \
    lane_mask out = 0; \
    EACH_LANE out |= (lane_mask) ((unsigned) ((condition) != 0) << lane); \
    return out

static inline lanes checked_add(const lanes *a, const lanes *b)
{
    lanes out;
    uint64_t overflow = 0;
    EACH_LANE {
        out.word[lane] = a->word[lane] + b->word[lane];
        overflow |= (a->word[lane] ^ out.word[lane]) & (b->word[lane] ^ out.word[lane]);
    }
    CHECK_LANES(LANES, (int64_t) overflow >= 0);
    return out;
}

static inline lanes checked_sub(const lanes *a, const lanes *b)
{
    lanes out;
    uint64_t overflow = 0;
    EACH_LANE {
        out.word[lane] = a->word[lane] - b->word[lane];
        overflow |= (a->word[lane] ^ b->word[lane]) & (a->word[lane] ^ out.word[lane]);
    }
    CHECK_LANES(LANES, (int64_t) overflow >= 0);
    return out;
}

static inline lanes checked_scale(const lanes *a, unsigned n)
{
    lanes out;
    uint64_t lost = 0;
    EACH_LANE {
        out.word[lane] = a->word[lane] << n;
        lost |= (uint64_t) ((int64_t) out.word[lane] >> n) ^ a->word[lane];
    }
    CHECK_LANES(LANES, lost == 0);
    return out;
}

/* c + bits shift .. shift + 51 of a b */
static inline lanes checked_madd(const lanes *c, const lanes *a, const lanes *b, unsigned shift)
{
    lanes product;
    uint64_t above = 0;
    EACH_LANE {
        above |= a->word[lane] | b->word[lane];
        product.word[lane] = (uint64_t) ((unsigned __int128) a->word[lane] * b->word[lane] >> shift) & LIMB_MASK;
    }
    CHECK_LANES(LANES, above <= LIMB_MASK);
    return checked_add(c, &product);
}

static inline lanes low_bits(lanes a)
{
    EACH_LANE a.word[lane] &= LIMB_MASK;
    return a;
}

INLINE void lane_leave(void) {}
INLINE lanes lane_set(uint64_t a) { OF_EACH_LANE(a); }
INLINE lanes lane_constant(const uint64_t *p) { return lane_set(*p); }
INLINE lanes lane_load(const uint64_t *a) { OF_EACH_LANE(a[lane]); }
INLINE void lane_store(uint64_t *out, lanes a) { EACH_LANE out[lane] = a.word[lane]; }
INLINE lanes lane_add(lanes a, lanes b) { return checked_add(&a, &b); }
INLINE lanes lane_sub(lanes a, lanes b) { return checked_sub(&a, &b); }
INLINE lanes lane_scale(lanes a, unsigned n) { return checked_scale(&a, n); }
INLINE lanes lane_and(lanes a, lanes b) { OF_EACH_LANE(a.word[lane] & b.word[lane]); }
INLINE lanes lane_or(lanes a, lanes b) { OF_EACH_LANE(a.word[lane] | b.word[lane]); }
INLINE lanes lane_shl(lanes a, unsigned n) { OF_EACH_LANE(a.word[lane] << n); }
INLINE lanes lane_shr(lanes a, unsigned n) { OF_EACH_LANE(a.word[lane] >> n); }
INLINE lanes lane_sar(lanes a, unsigned n) { OF_EACH_LANE((int64_t) a.word[lane] >> n); }

INLINE lanes lane_madd_lo(lanes c, lanes a, lanes b) { return checked_madd(&c, &a, &b, 0); }
INLINE lanes lane_madd_hi(lanes c, lanes a, lanes b) { return checked_madd(&c, &a, &b, LIMB_BITS); }

INLINE lanes lane_fold_lo(lanes c, lanes a, lanes b)
{
    a = low_bits(a);
    return checked_madd(&c, &a, &b, 0);
}

INLINE lanes lane_fold_hi(lanes c, lanes a, lanes b)
{
    a = low_bits(a);
    return checked_madd(&c, &a, &b, LIMB_BITS);
}

INLINE lanes lane_select(lane_mask m, lanes a, lanes b)
{
    OF_EACH_LANE(a.word[lane] ^ ((a.word[lane] ^ b.word[lane]) & -(uint64_t) (m >> lane & 1)));
}

INLINE lane_mask lane_negative(lanes a) { MASK_OF_EACH_LANE((int64_t) a.word[lane] < 0); }
INLINE lane_mask lane_is_zero(lanes a) { MASK_OF_EACH_LANE(a.word[lane] == 0); }
INLINE lane_mask lane_equal(lanes a, lanes b) { MASK_OF_EACH_LANE(a.word[lane] == b.word[lane]); }
INLINE lane_mask lane_any_bits(lanes a, lanes b) { MASK_OF_EACH_LANE(a.word[lane] & b.word[lane]); }

INLINE lanes lane_gather(const void *base, lanes offsets)
{
    lanes out;
    EACH_LANE memcpy(&out.word[lane], (const char *) base + offsets.word[lane], sizeof(uint64_t));
    return out;
}

INLINE void lane_scatter(void *base, lanes offsets, lanes a)
{
    EACH_LANE memcpy((char *) base + offsets.word[lane], &a.word[lane], sizeof(uint64_t));
}

INLINE lanes lane_choose(const uint64_t *table, lanes index)
{
    lanes out = lane_set(0);
    for (uint64_t i = 0; i < 16; i++)
        EACH_LANE out.word[lane] |= table[i] & -((((index.word[lane] & 15) ^ i) - 1) >> 63);
    return out;
}

INLINE lanes lane_swap(lanes a, unsigned distance) { OF_EACH_LANE(a.word[(unsigned) lane ^ distance]); }
INLINE lanes lane_swap_bytes(lanes a) { OF_EACH_LANE(__builtin_bswap64(a.word[lane])); }

INLINE void lane_transpose(lanes a[LANES])
{
    for (int i = 0; i < LANES; i++) {
        for (int j = 0; j < i; j++) {
            uint64_t word = a[i].word[j];
            a[i].word[j] = a[j].word[i];
            a[j].word[i] = word;
        }
    }
}
