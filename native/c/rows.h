/* Rows in memory: eight at a time from `first` on; behind the end of n rows, the last one again. */
#pragma once
#include "lanes.h"

#define LEAST(a, b) ((a) < (b) ? (a) : (b))
/* Groups of eight that n rows are. */
#define GROUPS_OF(n) ((int) (((n) + LANES - 1) / LANES))

/* Byte offsets of rows first .. first + 7, none behind row n - 1. */
INLINE lanes offsets_of(size_t first, size_t n, size_t row_bytes)
{
    uint64_t offsets[LANES];
    for (size_t lane = 0; lane < LANES; lane++)
        offsets[lane] = LEAST(first + lane, n - 1) * row_bytes;
    return lane_load(offsets);
}

/* well[first .. first + 7] from the bits of a mask, none behind row n - 1 */
INLINE void write_mask(uint8_t *well, size_t first, size_t n, lane_mask mask)
{
    for (size_t lane = 0; lane < LANES && first + lane < n; lane++)
        well[first + lane] = mask >> lane & 1;
}
