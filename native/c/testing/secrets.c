/* Runs what signing does with secret keys, for scripts/check-constant-time, which compiles it.
 *
 *   secrets NAME   under valgrind, for which the keys are uninitialised memory: it reports every branch and every
 *                  address that depends on them
 *   secrets trace  single-steps the multiplication, and compares the instructions that ran for some batches of keys
 */
#include <blst.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include <valgrind/memcheck.h>
#include "api.h"
#include "generator.h"

#define KEYS 8

/* Two batches of keys below r, lowest word first: random ones, and such that have digits of one kind. */
#define BATCHES 2
static const uint64_t SPECIAL[KEYS][4] = {
    {1}, {8}, {0, 0, 1}, {0, 0, 0, 1ull << 62}, {0x7777777777777777, 0x7777777777777777, 0x7777777777777777, 0x7777},
    {0x8888888888888888, 0x8888888888888888, 0x8888888888888888, 0x8888}, {0xfffffffffffffff8, ~0ull, ~0ull, 0xffff},
    {0xffffffff00000000, 0x53bda402fffe5bfe, 0x3339d80809a1d805, 0x73eda753299d7d48},  /* r - 1 */
};

static void set_keys(blst_scalar keys[KEYS], int batch)
{
    uint64_t word = 0x9e3779b97f4a7c15;
    for (int i = 0; i < KEYS; i++) {
        uint64_t key[4];
        for (int w = 0; w < 4; w++) {
            word = word * 6364136223846793005 + 1442695040888963407;
            key[w] = w < 3 ? word : word >> 2;
        }
        memcpy(&keys[i], batch == 0 ? key : SPECIAL[i], sizeof keys[i]);
    }
}

/* --- what is run --- */

typedef struct {
    blst_p2_affine points[KEYS], signatures[KEYS];
    blst_scalar keys[KEYS];
    uint8_t well[KEYS];
    void *scratch;
} batch;

static void lanes_multiply(batch *b)
{
    BUILD.multiply_g2((uint64_t (*)[24]) b->signatures, b->well, (const uint64_t (*)[24]) b->points,
                      (const uint64_t (*)[4]) b->keys, KEYS, b->scratch);
}

/* Odd multiples of the generator for blst, and a limb of all side by side for lanes. */
static uint64_t of_blst[GENERATOR_WINDOWS][GENERATOR_MULTIPLES][12];
static uint64_t rows[GENERATOR_WINDOWS][GENERATOR_MULTIPLES][16];
static uint64_t of_lanes[GENERATOR_WINDOWS][16][GENERATOR_MULTIPLES] __attribute__((aligned(64)));

static void make_tables(void)
{
    blst_p1 base = *blst_p1_generator(), twice, point;
    for (int w = 0; w < GENERATOR_WINDOWS; w++) {
        point = base;
        blst_p1_double(&twice, &base);
        for (int j = 0; j < GENERATOR_MULTIPLES; j++) {
            blst_p1_to_affine((blst_p1_affine *) of_blst[w][j], &point);
            blst_p1_add_or_double(&point, &point, &twice);
        }
        for (int d = 0; d < 8; d++)
            blst_p1_double(&base, &base);
    }
    BUILD.make_table(rows[0], (const uint64_t (*)[12]) of_blst, GENERATOR_WINDOWS * GENERATOR_MULTIPLES);
    for (int w = 0; w < GENERATOR_WINDOWS; w++)
        for (int j = 0; j < GENERATOR_MULTIPLES; j++)
            for (int k = 0; k < 16; k++)
                of_lanes[w][k][j] = rows[w][j][k];
}

static void lanes_generator(batch *b)
{
    BUILD.multiply_base((uint64_t (*)[12]) b->signatures, b->well, (const uint64_t (*)[4]) b->keys, of_lanes[0][0], KEYS,
                        b->scratch);
}

static void blst_generator(batch *b)
{
    generator_multiply((uint64_t (*)[12]) b->signatures, b->well, (const uint64_t (*)[4]) b->keys,
                       (const uint64_t (*)[GENERATOR_MULTIPLES][12]) of_blst, KEYS);
}

static void blst_sign(batch *b)
{
    for (int i = 0; i < KEYS; i++) {
        blst_p2 point;
        blst_p2_from_affine(&point, &b->points[i]);
        blst_sign_pk_in_g1(&point, &point, &b->keys[i]);
        blst_p2_to_affine(&b->signatures[i], &point);
    }
}

static void blst_derive(batch *b)
{
    for (int i = 0; i < KEYS; i++) {
        blst_p1 point;
        blst_sk_to_pk_in_g1(&point, &b->keys[i]);
        memcpy(&b->signatures[i], &point, sizeof point);
    }
}

/* Three that leak: they must be found. */

static void leak_branch(batch *b)
{
    for (int i = 0; i < KEYS; i++)
        if (b->keys[i].b[0] >> 1 & 1)
            b->signatures[i] = b->points[i];
}

static void leak_address(batch *b)
{
    for (int i = 0; i < KEYS; i++)
        b->well[i] = ((const uint8_t *) b->points)[b->keys[i].b[0]];
}

static void leak_well(batch *b)
{
    lanes_multiply(b);
    for (int i = 0; i < KEYS; i++)
        if (b->signatures[i].x.fp[0].l[0] >> 1 & 1)
            b->signatures[i] = b->points[i];
}

static const struct { const char *name; void (*run)(batch *); } WAYS[] = {
    {"lanes-multiply", lanes_multiply}, {"lanes-generator", lanes_generator}, {"blst-generator", blst_generator},
    {"blst-sign", blst_sign}, {"blst-derive", blst_derive},
    {"leak-branch", leak_branch}, {"leak-address", leak_address}, {"leak-result", leak_well},
};

static void make(batch *b)
{
    memset(b, 0, sizeof *b);
    if (posix_memalign(&b->scratch, 64, BUILD.scratch_bytes(NULL, 0)))
        abort();
    make_tables();
    for (uint8_t i = 0; i < KEYS; i++) {
        blst_p2 point;
        blst_hash_to_g2(&point, &i, 1, NULL, 0, NULL, 0);
        blst_p2_to_affine(&b->points[i], &point);
    }
}

static int run(const char *name)
{
    batch b;
    make(&b);
    set_keys(b.keys, 0);
    for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++)
        if (strcmp(name, WAYS[i].name) == 0) {
            VALGRIND_MAKE_MEM_UNDEFINED(b.keys, sizeof b.keys);
            WAYS[i].run(&b);
            return 0;
        }
    fprintf(stderr, "secrets: no way %s\n", name);
    return 2;
}

/* --- instructions --- */

typedef struct { uint64_t steps, hash; } trace;

/* The addresses of the instructions that `run` executes, as a hash. */
static trace traced(void (*run)(batch *), batch *b)
{
    trace found = {0, 0xcbf29ce484222325ull};
    int status;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        run(b);
        raise(SIGSTOP);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        abort();
    for (;;) {
        struct user_regs_struct registers;
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) || waitpid(child, &status, 0) != child)
            abort();
        if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP)
            break;
        if (ptrace(PTRACE_GETREGS, child, NULL, &registers))
            abort();
        found.hash = (found.hash ^ registers.rip) * 0x100000001b3ull;
        found.steps++;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return found;
}

/* Whether all batches of keys ran the same instructions. */
static int same_instructions(const char *name, void (*run)(batch *), batch *b)
{
    trace first = {0, 0};
    int same = 1;
    for (int i = 0; i < BATCHES; i++) {
        set_keys(b->keys, i);
        trace found = traced(run, b);
        if (i == 0)
            first = found;
        same &= found.steps == first.steps && found.hash == first.hash;
    }
    printf("%s: %s instructions for %d batches of keys, %llu for the first\n", name, same ? "the same" : "other",
           BATCHES, (unsigned long long) first.steps);
    return same;
}

int main(int n, char **arguments)
{
    batch b;
    if (n == 2 && strcmp(arguments[1], "trace") != 0)
        return run(arguments[1]);
    make(&b);
    return same_instructions("leak-branch", leak_branch, &b) || !same_instructions("lanes-multiply", lanes_multiply, &b)
           || !same_instructions("lanes-generator", lanes_generator, &b);
}
