# Masks of the oracle split, scalars modulo r, as the digits by which they multiply.
from libc.stdint cimport int8_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset
from dvtfast._native.blst cimport *

cdef extern from *:
    """
    #define PARAMETER 0xd201000000010000ull
    """
    ctypedef unsigned long long uint128 "unsigned __int128"
    const uint64_t PARAMETER  # |x|; r = x^4 - x^2 + 1

cdef enum:
    SCALAR_BYTES = 32
    DIGITS = 4         # of a scalar in base |x|
    BYTE_WINDOWS = 32


cdef inline void signed_bytes(int8_t *windows, const uint8_t *mask) noexcept nogil:
    """Signed bytes of a big-endian scalar below r, lowest first: -128..127."""
    cdef size_t w
    cdef int value, carry = 0
    for w in range(BYTE_WINDOWS):
        value = mask[31 - w] + carry
        carry = value > 127
        windows[w] = <int8_t> (value - 256 * carry)


cdef inline void digits_of(uint64_t *digits, const blst_scalar *scalar) noexcept nogil:
    """The digits in base |x| of a scalar below r, lowest first."""
    cdef uint64_t remainder
    cdef uint128 part
    cdef size_t d, i
    memcpy(digits, scalar, SCALAR_BYTES)
    for d in range(DIGITS - 1):
        remainder = 0
        for i in range(DIGITS, d, -1):  # the quotient goes one place up, its lowest word to the remainder's place
            part = (<uint128> remainder << 64) | digits[i - 1]
            digits[i - 1] = <uint64_t> (part // PARAMETER)
            remainder = <uint64_t> part - digits[i - 1] * PARAMETER
        for i in range(DIGITS - 1, d, -1):
            digits[i] = digits[i - 1]
        digits[d] = remainder


# What the odd digits of the lanes are too many, twice, in either group: see split_g1 and split_g2 in c/api.h.
cdef struct Offsets:
    blst_fr g1, g2


cdef inline void fr_of_words(blst_fr *out, uint64_t low, uint64_t high) noexcept nogil:
    cdef uint64_t words[4]
    words[0], words[1], words[2], words[3] = low, high, 0, 0
    blst_fr_from_uint64(out, words)


cdef inline void set_offsets(Offsets *offsets) noexcept nogil:
    """(2^128 - 1) (1 + x^2) and (2^64 - 1) (1 + |x|) (1 + x^2)."""
    cdef uint64_t ones = <uint64_t> -1
    cdef blst_fr one, x, sum_
    fr_of_words(&one, 1, 0)
    fr_of_words(&x, PARAMETER, 0)
    fr_of_words(&offsets.g1, ones, ones)
    fr_of_words(&offsets.g2, ones, 0)
    blst_fr_add(&sum_, &one, &x)
    blst_fr_mul(&offsets.g2, &offsets.g2, &sum_)
    blst_fr_mul(&sum_, &x, &x)
    blst_fr_add(&sum_, &sum_, &one)
    blst_fr_mul(&offsets.g1, &offsets.g1, &sum_)
    blst_fr_mul(&offsets.g2, &offsets.g2, &sum_)


cdef inline void differences_at_0(blst_fr *values, const uint8_t *masks, size_t drawn) noexcept nogil:
    """values[o] = the difference of order o = 1 .. drawn at 0 of f with f(0) = 0, from f(1) .. f(drawn)."""
    cdef blst_scalar scalar
    cdef size_t order, j
    memset(values, 0, sizeof(blst_fr))
    for j in range(drawn):
        blst_scalar_from_bendian(&scalar, masks + SCALAR_BYTES * j)
        blst_fr_from_scalar(&values[j + 1], &scalar)
    for order in range(1, drawn + 1):
        for j in range(drawn, order - 1, -1):
            blst_fr_sub(&values[j], &values[j], &values[j - 1])
    wipe(&scalar, sizeof(scalar))


cdef inline void halve(uint64_t *digits, const blst_fr *value, const blst_fr *offset) noexcept nogil:
    """The digits of (value + offset) / 2."""
    cdef blst_scalar scalar
    cdef blst_fr half
    blst_fr_add(&half, value, offset)
    blst_fr_rshift(&half, &half, 1)
    blst_scalar_from_fr(&scalar, &half)
    digits_of(digits, &scalar)
    wipe(&half, sizeof(half))
    wipe(&scalar, sizeof(scalar))


cdef inline void odd_windows(uint8_t *of_g1, uint8_t *of_g2, const blst_fr *value, const Offsets *offsets) noexcept nogil:
    """(value + offset) / 2 in base x^2, digits of 16 bytes, and in base |x|, digits of 8."""
    cdef uint64_t digits[DIGITS]
    cdef uint128 digit
    cdef size_t i
    halve(digits, value, &offsets.g1)
    for i in range(2):
        digit = <uint128> digits[2 * i + 1] * PARAMETER + digits[2 * i]
        memcpy(of_g1 + sizeof(digit) * i, &digit, sizeof(digit))
    halve(digits, value, &offsets.g2)
    memcpy(of_g2, digits, SCALAR_BYTES)
    wipe(digits, sizeof(digits))
    wipe(&digit, sizeof(digit))
