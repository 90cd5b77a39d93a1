# Multiples of the generator of G1.
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport Lanes

cdef blst_p1_affine *multiples(size_t windows, bint odd) except NULL

cdef class Comb:
    cdef blst_p1_affine *points  # [32][128]: (2j + 1) * 256^w * G1
    cdef uint64_t *limbs         # the same for lanes, [32][16][128]; NULL without them
    cdef void *memory
