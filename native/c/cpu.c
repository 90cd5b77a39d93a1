/* Whether AVX-512 IFMA can be used: the processor has it, and the system saves its registers. Compiled for any
 * processor, as it runs before anybody knows.
 *
 * Twin in blst: cpuid.c.
 */
#include "api.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define OSXSAVE (1u << 27)
#define SAVED_STATE 0xe6u  /* SSE, AVX, mask registers, both halves of the ZMM registers */
#define NEEDED (1u << 16 | 1u << 17 | 1u << 21 | 1u << 30 | 1u << 8)  /* AVX512F, DQ, IFMA, BW; BMI2 */

int lanes_ifma_runs_here(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & SAVED_STATE) != SAVED_STATE || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    return (b & NEEDED) == NEEDED;
}
#else
int lanes_ifma_runs_here(void) { return 0; }
#endif
