# The only declaration of blst (bindings/blst.h, blst_aux.h, 0.3.16); names unchanged.
from libc.stdint cimport uint8_t, uint64_t

ctypedef uint8_t byte
ctypedef uint64_t limb_t

cdef extern from "blst.h" nogil:
    ctypedef bint cbool "bool"

    ctypedef enum BLST_ERROR:
        BLST_SUCCESS
        BLST_BAD_ENCODING
        BLST_POINT_NOT_ON_CURVE
        BLST_POINT_NOT_IN_GROUP
        BLST_AGGR_TYPE_MISMATCH
        BLST_VERIFY_FAIL
        BLST_PK_IS_INFINITY
        BLST_BAD_SCALAR

    ctypedef struct blst_scalar:
        byte b[32]
    ctypedef struct blst_fr:
        limb_t l[4]
    ctypedef struct blst_fp:
        limb_t l[6]
    ctypedef struct blst_fp2:
        blst_fp fp[2]
    ctypedef struct blst_fp12:
        pass
    ctypedef struct blst_p1:
        blst_fp x, y, z
    ctypedef struct blst_p1_affine:
        blst_fp x, y
    ctypedef struct blst_p2:
        blst_fp2 x, y, z
    ctypedef struct blst_p2_affine:
        blst_fp2 x, y

    # scalars
    void blst_scalar_from_bendian(blst_scalar *out, const byte *a)
    void blst_bendian_from_scalar(byte *out, const blst_scalar *a)
    void blst_scalar_from_uint64(blst_scalar *out, const uint64_t *a)
    cbool blst_scalar_fr_check(const blst_scalar *a)
    cbool blst_scalar_from_be_bytes(blst_scalar *out, const byte *bytes, size_t n)
    cbool blst_sk_check(const blst_scalar *a)
    cbool blst_sk_add_n_check(blst_scalar *out, const blst_scalar *a, const blst_scalar *b)
    void blst_fr_add(blst_fr *ret, const blst_fr *a, const blst_fr *b)
    void blst_fr_sub(blst_fr *ret, const blst_fr *a, const blst_fr *b)
    void blst_fr_rshift(blst_fr *ret, const blst_fr *a, size_t count)
    void blst_fr_from_uint64(blst_fr *ret, const uint64_t *a)
    void blst_fr_mul(blst_fr *ret, const blst_fr *a, const blst_fr *b)
    void blst_fr_from_scalar(blst_fr *ret, const blst_scalar *a)
    void blst_scalar_from_fr(blst_scalar *ret, const blst_fr *a)

    # base fields, for formulas that blst has no function for
    void blst_fp_add(blst_fp *ret, const blst_fp *a, const blst_fp *b)
    void blst_fp_sub(blst_fp *ret, const blst_fp *a, const blst_fp *b)
    void blst_fp_mul(blst_fp *ret, const blst_fp *a, const blst_fp *b)
    void blst_fp_sqr(blst_fp *ret, const blst_fp *a)
    void blst_fp_cneg(blst_fp *ret, const blst_fp *a, cbool flag)
    void blst_fp_eucl_inverse(blst_fp *ret, const blst_fp *a)
    void blst_fp_from_uint64(blst_fp *ret, const uint64_t *a)
    void blst_fp2_add(blst_fp2 *ret, const blst_fp2 *a, const blst_fp2 *b)
    void blst_fp2_sub(blst_fp2 *ret, const blst_fp2 *a, const blst_fp2 *b)
    void blst_fp2_mul(blst_fp2 *ret, const blst_fp2 *a, const blst_fp2 *b)
    void blst_fp2_sqr(blst_fp2 *ret, const blst_fp2 *a)
    void blst_fp2_cneg(blst_fp2 *ret, const blst_fp2 *a, cbool flag)
    void blst_fp2_eucl_inverse(blst_fp2 *ret, const blst_fp2 *a)

    # G1
    BLST_ERROR blst_p1_uncompress(blst_p1_affine *out, const byte *data)
    void blst_p1_affine_compress(byte *out, const blst_p1_affine *a)
    void blst_p1_compress(byte *out, const blst_p1 *a)
    cbool blst_p1_affine_in_g1(const blst_p1_affine *p)
    cbool blst_p1_affine_is_inf(const blst_p1_affine *p)
    cbool blst_p1_is_inf(const blst_p1 *p)
    cbool blst_p1_is_equal(const blst_p1 *a, const blst_p1 *b)
    void blst_p1_double(blst_p1 *out, const blst_p1 *a)
    void blst_p1_add_or_double(blst_p1 *out, const blst_p1 *a, const blst_p1 *b)
    void blst_p1_add_or_double_affine(blst_p1 *out, const blst_p1 *a, const blst_p1_affine *b)
    void blst_p1_mult(blst_p1 *out, const blst_p1 *p, const byte *scalar, size_t nbits)
    void blst_p1_cneg(blst_p1 *p, cbool cbit)
    void blst_p1_to_affine(blst_p1_affine *out, const blst_p1 *a)
    void blst_p1_from_affine(blst_p1 *out, const blst_p1_affine *a)
    const blst_p1 *blst_p1_generator()
    void blst_p1s_to_affine(blst_p1_affine *dst, const blst_p1 *const *points, size_t n)
    void blst_p1s_add(blst_p1 *ret, const blst_p1_affine *const *points, size_t n)
    size_t blst_p1s_mult_pippenger_scratch_sizeof(size_t n)
    void blst_p1s_mult_pippenger(blst_p1 *ret, const blst_p1_affine *const *points, size_t n,
                                 const byte *const *scalars, size_t nbits, limb_t *scratch)

    # G2
    BLST_ERROR blst_p2_uncompress(blst_p2_affine *out, const byte *data)
    void blst_p2_affine_compress(byte *out, const blst_p2_affine *a)
    void blst_p2_compress(byte *out, const blst_p2 *a)
    cbool blst_p2_affine_in_g2(const blst_p2_affine *p)
    cbool blst_p2_affine_is_inf(const blst_p2_affine *p)
    cbool blst_p2_in_g2(const blst_p2 *p)
    cbool blst_p2_is_inf(const blst_p2 *p)
    void blst_p2_double(blst_p2 *out, const blst_p2 *a)
    void blst_p2_add_or_double(blst_p2 *out, const blst_p2 *a, const blst_p2 *b)
    void blst_p2_add_or_double_affine(blst_p2 *out, const blst_p2 *a, const blst_p2_affine *b)
    void blst_p2_mult(blst_p2 *out, const blst_p2 *p, const byte *scalar, size_t nbits)
    void blst_p2_cneg(blst_p2 *p, cbool cbit)
    void blst_p2_to_affine(blst_p2_affine *out, const blst_p2 *a)
    void blst_p2_from_affine(blst_p2 *out, const blst_p2_affine *a)
    void blst_p2s_to_affine(blst_p2_affine *dst, const blst_p2 *const *points, size_t n)
    size_t blst_p2s_mult_pippenger_scratch_sizeof(size_t n)
    void blst_p2s_mult_pippenger(blst_p2 *ret, const blst_p2_affine *const *points, size_t n,
                                 const byte *const *scalars, size_t nbits, limb_t *scratch)
    void blst_hash_to_g2(blst_p2 *out, const byte *msg, size_t msg_len, const byte *dst, size_t dst_len,
                         const byte *aug, size_t aug_len)

    # keys, signatures, pairings
    void blst_sk_to_pk_in_g1(blst_p1 *out, const blst_scalar *secret_key)
    void blst_sign_pk_in_g1(blst_p2 *out, const blst_p2 *hash, const blst_scalar *secret_key)
    void blst_miller_loop(blst_fp12 *ret, const blst_p2_affine *q, const blst_p1_affine *p)
    void blst_miller_loop_n(blst_fp12 *ret, const blst_p2_affine *const *qs, const blst_p1_affine *const *ps,
                            size_t n)
    void blst_fp12_mul(blst_fp12 *ret, const blst_fp12 *a, const blst_fp12 *b)
    cbool blst_fp12_finalverify(const blst_fp12 *a, const blst_fp12 *b)
    const blst_fp12 *blst_fp12_one()
    const blst_p1_affine *blst_p1_affine_generator()

cdef extern from "blst_aux.h" nogil:
    void blst_sha256(byte *out, const byte *msg, size_t n)
    void blst_expand_message_xmd(byte *out, size_t out_len, const byte *msg, size_t msg_len, const byte *dst,
                                 size_t dst_len)

cdef extern from *:
    """
    #include <stddef.h>
    /* In blst's assembly, where it chooses among the processor's instructions; of no header. */
    void blst_sha256_block_data_order(unsigned int *h, const void *blocks, size_t n);
    """
    void blst_sha256_block_data_order(unsigned int *h, const void *blocks, size_t n) nogil

cdef extern from *:
    """
    #include <string.h>
    /* memset through a volatile pointer: the compiler may not leave it out. */
    static void *(*const volatile dvtfast_memset)(void *, int, size_t) = memset;
    static inline void wipe(void *secret, size_t n) { dvtfast_memset(secret, 0, n); }
    """
    void wipe(void *secret, size_t n) noexcept nogil
