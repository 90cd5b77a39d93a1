#!/usr/bin/env python3
"""Write ../constants.h: numbers of BLS12-381 in the form that lanes compute with, and the addition chain.

A field element is 8 limbs of 52 bits; in Montgomery form a is a * 2^416 mod p. Elements of Fp2 are 16 limbs.

Sources: draft-irtf-cfrg-pairing-friendly-curves (p, r, x); RFC 9380, 8.8.2 and E.3 (map to G2);
eprint 2019/814 and 2021/1130 (endomorphisms, subgroup checks).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

X = 0xD201000000010000  # |x|; the curve parameter x is negative
R = X**4 - X**2 + 1
P = (X + 1) ** 2 * R // 3 - X
LIMBS, LIMB_BITS = 8, 52
MONTGOMERY = 1 << (LIMBS * LIMB_BITS)
BLST_MONTGOMERY = 1 << 384

Fp2 = tuple[int, int]

# RFC 9380, E.3: numbers that the coefficients of the 3-isogeny are made of.
K0 = 0x5C759507E8E333EBB5B7A9A47D7ED8532C52D39FD3A042A88B58423C50AE15D5C2638E343D9C71C6238AAAAAAAA97D6
K1 = 0x11560BF17BAA99BC32126FCED787C88F984F87ADF7AE0C7F9A208C6B4F20A4181472AAA9CB8D555526A9FFFFFFFFC71A
K2 = 0x8AB05F8BDD54CDE190937E76BC3E447CC27C3D6FBD7063FCD104635A790520C0A395554E5C6AAAA9354FFFFFFFFE38D
K3 = 0x171D6541FA38CCFAED6DEA691F5FB614CB14B4E7F4E810AA22D6108F142B85757098E38D0F671C7188E2AAAAAAAA5ED1
K4 = 0x1530477C7AB4113B59A4C18B076D11930F7DA5D4A07F649BF54439D87D27E500FC8C25EBF8C92F6812CFC71C71C6D706
K5 = 0x124C9AD43B6CF79BFBF7043DE3811AD0761B0F37A1E26286B0E977C69AA274524E79097A56DC4BD9E1B371C71C718B10

# The coefficients, lowest first; leading ones that are 1 are left out.
ISOGENY: dict[str, list[Fp2]] = {
    "X_NUMERATOR": [(K0, K0), (0, K1), (K1 + 4, K2), (K3, 0)],
    "X_DENOMINATOR": [(0, P - 72), (12, P - 12)],
    "Y_NUMERATOR": [(K4, K4), (0, K0 - 24), (K1 + 2, K2 + 2), (K5, 0)],
    "Y_DENOMINATOR": [(P - 432, P - 432), (0, P - 216), (18, P - 18)],
}

# RFC 9380, 8.8.2: y^2 = x^3 + A x + B, and the Z of the map.
SSWU_A, SSWU_B, SSWU_Z = (0, 240), (1012, 1012), (P - 2, P - 1)


def multiply(a: Fp2, b: Fp2) -> Fp2:
    """a * b in Fp2 = Fp[i] / (i^2 + 1)."""
    return (a[0] * b[0] - a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P


def invert(a: Fp2) -> Fp2:
    """1 / a."""
    norm = pow(a[0] ** 2 + a[1] ** 2, -1, P)
    return a[0] * norm % P, -a[1] * norm % P


def power(a: Fp2, exponent: int) -> Fp2:
    """a^exponent."""
    out: Fp2 = (1, 0)
    for bit in f"{exponent:b}":
        out = multiply(out, out)
        if bit == "1":
            out = multiply(out, a)
    return out


def square_root(a: int) -> int:
    """The root of a square that is a square itself."""
    root = pow(a, (P + 1) // 4, P)
    if root * root % P != a % P:
        raise ValueError("not a square")
    return root


# Odd powers, each the sum of an earlier one and of what is before the colon, twice an earlier one. Their
# chain for (p - 3) / 4 is the cheapest that some minutes of simulated annealing met, where a squaring costs
# 0.89 products.
POWERS = {2: [3, 5, 7, 9, 11, 13], 14: [17, 23], 46: [59, 105], 118: [123, 127, 245], 210: [221]}


def odd_powers() -> list[tuple[int, int, int]]:
    """Odd powers as they are made, each with the places of the two it is a sum of, once and twice."""
    made = [(1, 0, 0)]
    for even, odds in POWERS.items():
        for odd in odds:
            values = [power for power, *_ in made]
            made.append((odd, values.index(odd - even), values.index(even // 2)))
    return made


def fewest_windows(exponent: int, powers: list[int]) -> tuple[list[tuple[int, int]], int]:
    """Steps (squarings, place of the odd power) that build `exponent`, highest bits first; last squarings.

    The first step squares nothing.
    """
    bits, texts = f"{exponent:b}", [f"{power:b}" for power in powers]
    best: list[tuple[int, int | None]] = [(0, None)] * (len(bits) + 1)  # windows from a place on, the first
    for place in reversed(range(len(bits))):
        if bits[place] == "0":
            best[place] = (best[place + 1][0], None)
        else:
            fitting = [k for k, text in enumerate(texts) if bits.startswith(text, place)]
            best[place] = min((1 + best[place + len(texts[k])][0], k) for k in fitting)
    steps, place, squarings = [], 0, 0
    while place < len(bits):
        _, window = best[place]
        length = 1 if window is None else len(texts[window])
        place, squarings = place + length, squarings + length
        if window is not None:
            steps.append((squarings, window))
            squarings = 0
    return [(0, steps[0][1]), *steps[1:]], squarings


def limbs(value: int) -> list[int]:
    """The limbs of a value that is written as it is, lowest first."""
    return [value >> (LIMB_BITS * i) & ((1 << LIMB_BITS) - 1) for i in range(LIMBS)]


def montgomery(value: int | Fp2) -> list[int]:
    """The limbs of a value in Montgomery form."""
    parts = (value,) if isinstance(value, int) else value
    return [limb for part in parts for limb in limbs(part * MONTGOMERY % P)]


def array(name: str, words: list[int], comment: str) -> str:
    """A C array of limbs."""
    text = _rows_of_four(words, "0x{:013x}", " " * 4)
    return f"/* {comment} */\nstatic const uint64_t {name}[{len(words)}] = {{\n    {text}}};\n"


def constants() -> str:
    """The text of constants.h."""
    xi = (1, 1)
    multiples = 13
    beta = (square_root(-3 % P) - 1) * pow(2, -1, P) % P
    psi_x = invert(power(xi, (P - 1) // 3))
    norm = (psi_x[0] ** 2 + psi_x[1] ** 2) % P
    cubed = power(SSWU_Z, 3)
    of_square = square_root(pow(-125, -1, P))  # norm(Z)^3 = 125
    exponent = (P - 3) // 4
    powers = odd_powers()
    steps, last = fewest_windows(exponent, [power for power, *_ in powers])
    raw = [
        ("P_LIMBS", limbs(P), "p"),
        ("HALF_P", limbs((P - 1) // 2), "(p - 1) / 2: what is larger is the lexicographically larger root"),
        ("FOLD", limbs(pow(1 << LIMB_BITS, -1, P)), "2^-52 mod p; it is below 0.2501 p"),
        ("ONE", montgomery(1), "1"),
        ("TO_MONTGOMERY", limbs(MONTGOMERY**2 % P), "times it: into Montgomery form"),
        ("HIGH_TO_MONTGOMERY", limbs(MONTGOMERY**2 * 2**384 % P), "times it: 2^384 a into Montgomery form"),
        ("FROM_BLST", limbs(MONTGOMERY**2 * pow(BLST_MONTGOMERY, -1, P) % P), "times it: from blst's form"),
        ("TO_BLST", limbs(BLST_MONTGOMERY % P), "times it: into blst's form, a * 2^384"),
        ("BETA", montgomery(beta), "a cube root of 1: (beta x, y) = -x^2 (x, y) in G1"),
        ("PSI_X", montgomery(psi_x), "psi(x, y) = (PSI_X conj(x), PSI_Y conj(y))"),
        ("PSI_Y", montgomery(invert(power(xi, (P - 1) // 2))), ""),
        ("PSI_SQUARED_X", montgomery(norm), "psi(psi(x, y)) = (PSI_SQUARED_X x, -y) = x^2 (x, y) in G2"),
        ("FOUR", montgomery(4), "the curves: y^2 = x^3 + 4, y^2 = x^3 + 4 (1 + i)"),
        ("SSWU_A", montgomery(SSWU_A), "the curve that is mapped to: y^2 = x^3 + A x + B"),
        ("SSWU_MINUS_A", montgomery((0, P - 240)), "-A"),
        ("SSWU_B", montgomery(SSWU_B), "B"),
        ("SSWU_Z", montgomery(SSWU_Z), "Z"),
        ("SSWU_ZA", montgomery(multiply(SSWU_Z, SSWU_A)), "Z A"),
        ("SSWU_INVERSE_ZZZ", montgomery(invert(cubed)), "Z^-3"),
        ("SSWU_ROOT", montgomery(of_square), "c = sqrt(-1 / norm(Z^3))"),
        ("SSWU_INVERSE_ROOT", montgomery(pow(of_square, -1, P)), "1 / c"),
    ]  # fmt: skip
    raw += [
        (f"ISOGENY_{name}", [limb for value in values for limb in montgomery(value)], "RFC 9380, E.3")
        for name, values in ISOGENY.items()
    ]
    arrays = "\n".join(array(name, words, comment or "see above") for name, words, comment in raw)
    rows = "},\n    {".join(_rows_of_four(limbs(P << k), "0x{:x}", " " * 5) for k in range(multiples))
    chain = _pairs(steps)
    made = _pairs([(of, square) for _, of, square in powers])
    squarings = sum(s for s, _ in steps) + last + len(POWERS)
    products = len(steps) - 1 + len(powers) - 1
    return f"""/* Written by testing/generate.py, which says what these are.
 *
 * Twin in blst: consts.c.
 */
#pragma once
#include <stdint.h>

/* -1 / p mod 2^52 */
#define P_INVERSE 0x{-pow(P, -1, 1 << LIMB_BITS) % (1 << LIMB_BITS):x}ull

/* p / 2^416, rounded up */
#define P_PER_R {P / MONTGOMERY * 1.0000001:.6e}

/* 2^416 / p, rounded up */
#define R_PER_P 0x{-(-MONTGOMERY // P):x}ull

/* |x| from its top bit: after so many doublings another one is added, but after the last. */
#define X_ONES {f"{X:b}".count("1")}
static const uint8_t X_DOUBLINGS[X_ONES] = {{{", ".join(map(str, _gaps(X)))}}};

/* 2^k p */
static const uint64_t P_TIMES[{multiples}][8] = {{
    {{{rows}}}}};

/* a^((p - 3) / 4) by {squarings} squarings and {products} products. First powers of a: a itself, then each
 * the power `of` times the square of the power `square`. */
#define CHAIN_POWERS {len(powers)}
static const struct {{ uint8_t of, square; }} CHAIN_POWER[CHAIN_POWERS] = {{
    {made}}};
/* Then, from the first step's power on, squarings and a product with a power. */
#define CHAIN_STEPS {len(steps)}
#define CHAIN_LAST_SQUARINGS {last}
static const struct {{ uint8_t squarings, power; }} CHAIN[CHAIN_STEPS] = {{
    {chain}}};

{arrays}"""


def _rows_of_four(words: list[int], form: str, indent: str) -> str:
    """Four words a line."""
    rows = [", ".join(map(form.format, words[i : i + 4])) for i in range(0, len(words), 4)]
    return f",\n{indent}".join(rows)


def _pairs(pairs: list[tuple[int, int]]) -> str:
    return "\n    ".join(_wrapped(", ".join(f"{{{a}, {b}}}" for a, b in pairs), 100))


def _gaps(value: int) -> list[int]:
    """How many bits each one of `value` is above the next one, or above the end."""
    ones = [i for i in range(value.bit_length(), -1, -1) if value >> i & 1] + [0]
    return [above - below for above, below in pairwise(ones)]


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for part in text.split("}, "):
        part = part if part.endswith("}") else part + "},"
        if len(line) + len(part) > width:
            lines, line = [*lines, line.rstrip()], ""
        line += part + " "
    return [*lines, line.rstrip()]


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("constants.h").write_text(constants())
