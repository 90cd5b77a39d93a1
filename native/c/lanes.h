/* Eight 64-bit words side by side: the only layer that knows a processor.
 *
 * Two implementations have this interface: AVX-512 IFMA, and portable C that checks every operand
 * (LANES_CHECKED). All other files are the same for both.
 *
 *   lanes                         eight words; a word is one lane's
 *   lane_mask                     a bit for each lane
 *   lane_add, lane_sub            signed 64-bit; never overflow
 *   lane_scale(a, n)              a * 2^n, signed; never overflows
 *   lane_and, lane_or, lane_shl, lane_shr (logical), lane_sar (arithmetic)
 *   lane_madd_lo(c, a, b)         c + (a * b mod 2^52), of a, b below 2^52
 *   lane_madd_hi(c, a, b)         c + (a * b div 2^52)
 *   lane_fold_lo, lane_fold_hi    the same of a mod 2^52, whatever a is
 *   lane_select(m, a, b)          b where m, else a
 *   lane_constant(p)              the word at p in all lanes, loaded: compilers make constants at greater cost
 *   lane_negative(a), lane_is_zero(a), lane_equal(a, b), lane_any_bits(a, b)   masks; the last: a & b is not 0
 *   lane_gather(base, offsets), lane_scatter(base, offsets, a)   64-bit words at byte offsets
 *   lane_choose(table, index)     of sixteen words the one that the lane's lowest four bits of index name; constant time
 *   lane_swap(a, distance)        lane i gets the word of lane i ^ distance, of 1, 2, 4
 *   lane_swap_bytes(a)            big-endian words
 *   lane_transpose(a)             a[j] word i becomes a[i] word j, of eight
 *   lane_leave()                  before code that knows no lanes, which is slow after them otherwise: compilers forget it
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
#define LIMBS 8
#define LIMB_BITS 52
#define LIMB_MASK ((1ull << LIMB_BITS) - 1)

typedef uint8_t lane_mask;

/* One copy of a function that is large and called often. */
#define SHARED static __attribute__((noinline))
#ifdef LANES_CHECKED
#define INLINE static inline __attribute__((unused))
#define UNROLL
#else
#define INLINE static inline __attribute__((always_inline))
/* Loops over limbs have no counter left. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#endif
#define EACH_LIMB UNROLL for (int j = 0; j < LIMBS; j++)

#ifdef LANES_CHECKED
#include "lanes_checked.h"
#else
#include "lanes_avx512.h"
#endif

/* Through a volatile pointer: the compiler may not leave it out. */
static void *(*const volatile wipe_memset)(void *, int, size_t) = memset;
INLINE void wipe(void *secret, size_t n) { wipe_memset(secret, 0, n); }

INLINE lanes lane_low(lanes a) { return lane_and(a, lane_set(LIMB_MASK)); }
