# Bytes to points and back; the one place where blst's codes become ours.
from libc.stdint cimport uint8_t, uint64_t
from dvtfast._native.blst cimport *
from dvtfast._native.status cimport Status

cdef extern from *:
    """
    /* IRTF BLS signatures draft 04, 4.2.3: proof-of-possession scheme, minimal public keys. */
    static const unsigned char DST_SIGNATURE[] = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    enum { DST_SIGNATURE_BYTES = sizeof(DST_SIGNATURE) - 1 };
    """
    const uint8_t *DST_SIGNATURE
    size_t DST_SIGNATURE_BYTES


cdef inline Status status_of(BLST_ERROR error) noexcept nogil:
    if error == BLST_SUCCESS:
        return Status.OK
    if error == BLST_BAD_ENCODING:
        return Status.BAD_ENCODING
    if error == BLST_POINT_NOT_ON_CURVE:
        return Status.NOT_ON_CURVE
    if error == BLST_POINT_NOT_IN_GROUP:
        return Status.NOT_IN_GROUP
    return Status.UNEXPECTED


cdef inline Status decode_p1(blst_p1_affine *out, const uint8_t *row, bint subgroup) noexcept nogil:
    """A curve point that is not infinity; in G1 when `subgroup`."""
    cdef Status status = status_of(blst_p1_uncompress(out, row))
    if status != Status.OK:
        return status
    if blst_p1_affine_is_inf(out):
        return Status.IS_INFINITY
    if subgroup and not blst_p1_affine_in_g1(out):
        return Status.NOT_IN_GROUP
    return Status.OK


cdef inline Status decode_p2(blst_p2_affine *out, const uint8_t *row, bint subgroup) noexcept nogil:
    """A curve point that is not infinity; in G2 when `subgroup`."""
    cdef Status status = status_of(blst_p2_uncompress(out, row))
    if status != Status.OK:
        return status
    if blst_p2_affine_is_inf(out):
        return Status.IS_INFINITY
    if subgroup and not blst_p2_affine_in_g2(out):
        return Status.NOT_IN_GROUP
    return Status.OK


cdef inline void hash_root(blst_p2 *out, const uint8_t *root) noexcept nogil:
    """Hash of a 32-byte signing root under the signature DST."""
    blst_hash_to_g2(out, root, 32, DST_SIGNATURE, DST_SIGNATURE_BYTES, NULL, 0)


cdef inline void p1s_to_affine(blst_p1_affine *out, const blst_p1 *points, size_t n) noexcept nogil:
    """Normalise contiguous points with shared inversions; infinity becomes zeros."""
    cdef const blst_p1 *contiguous[2]
    contiguous[0] = points
    contiguous[1] = NULL
    if n:
        blst_p1s_to_affine(out, contiguous, n)


cdef inline void p2s_to_affine(blst_p2_affine *out, const blst_p2 *points, size_t n) noexcept nogil:
    """Normalise contiguous points with shared inversions; infinity becomes zeros."""
    cdef const blst_p2 *contiguous[2]
    contiguous[0] = points
    contiguous[1] = NULL
    if n:
        blst_p2s_to_affine(out, contiguous, n)
