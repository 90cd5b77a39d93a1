"""What a careful engineer writes first over blst: one validator at a time, one share at a time."""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memset
from dvtfast._native.blst cimport *
from dvtfast._native.points cimport DST_SIGNATURE, DST_SIGNATURE_BYTES, hash_root

cdef extern from "blst.h" nogil:
    BLST_ERROR blst_core_verify_pk_in_g1(const blst_p1_affine *pk, const blst_p2_affine *signature,
                                         bint hash_or_encode, const byte *msg, size_t msg_len,
                                         const byte *dst, size_t dst_len, const byte *aug, size_t aug_len)


cdef bint verifies(const uint64_t *public_key, const blst_p2_affine *signature, const uint8_t *root) noexcept nogil:
    """Checks groups itself."""
    return blst_core_verify_pk_in_g1(<const blst_p1_affine *> public_key, signature, True, root, 32,
                                     DST_SIGNATURE, DST_SIGNATURE_BYTES, NULL, 0) == BLST_SUCCESS


def sign(const uint8_t[:, ::1] secret_keys, const uint8_t[:, ::1] roots, uint8_t[:, ::1] signatures):
    cdef blst_scalar secret
    cdef blst_p2 point
    cdef size_t i, n = secret_keys.shape[0]
    with nogil:
        for i in range(n):
            blst_scalar_from_bendian(&secret, &secret_keys[i, 0])
            hash_root(&point, &roots[i, 0])
            blst_sign_pk_in_g1(&point, &point, &secret)
            blst_p2_compress(&signatures[i, 0], &point)


def verify(const uint8_t[:, ::1] public_keys, const uint8_t[:, ::1] roots, const uint8_t[:, ::1] signatures,
           uint8_t[::1] ok):
    """All from bytes; the groups are checked with the pairing."""
    cdef blst_p1_affine public_key
    cdef blst_p2_affine signature
    cdef size_t i, n = public_keys.shape[0]
    with nogil:
        for i in range(n):
            ok[i] = (blst_p1_uncompress(&public_key, &public_keys[i, 0]) == BLST_SUCCESS
                     and blst_p2_uncompress(&signature, &signatures[i, 0]) == BLST_SUCCESS
                     and verifies(<const uint64_t *> &public_key, &signature, &roots[i, 0]))


def recover_and_check(const uint64_t[:, ::1] public_keys, const uint64_t[:, :, ::1] public_key_shares,
                      const uint8_t[:, ::1] roots, const uint8_t[:, :, ::1] partial_signatures,
                      const uint8_t[:, ::1] coefficients, uint8_t[:, ::1] signatures, uint8_t[::1] ok):
    """From the first t shares; coefficients uint8[t, 32], little-endian. A bad share ends its validator."""
    cdef blst_p2_affine share
    cdef blst_p2 term, total
    cdef size_t i, j, n = public_keys.shape[0], t = coefficients.shape[0]
    with nogil:
        for i in range(n):
            memset(&total, 0, sizeof(total))
            ok[i] = True
            for j in range(t):
                if (blst_p2_uncompress(&share, &partial_signatures[i, j, 0]) != BLST_SUCCESS
                        or not verifies(&public_key_shares[i, j, 0], &share, &roots[i, 0])):
                    ok[i] = False
                    break
                blst_p2_from_affine(&term, &share)
                blst_p2_mult(&term, &term, &coefficients[j, 0], 255)
                blst_p2_add_or_double(&total, &total, &term)
            if ok[i]:
                blst_p2_to_affine(&share, &total)
                ok[i] = verifies(&public_keys[i, 0], &share, &roots[i, 0])
                blst_p2_affine_compress(&signatures[i, 0], &share)


def split(const uint8_t[:, ::1] signatures, const uint64_t[:, ::1] public_keys, const uint8_t[:, ::1] roots,
          const uint8_t[:, :, ::1] coefficients, uint8_t[:, :, ::1] public_key_shares,
          uint8_t[:, :, ::1] signature_shares):
    """Coefficients uint8[n, t - 1, 32] of x, x^2, ..., little-endian: multiples of H and G1, then powers of j."""
    cdef blst_p2_affine signature
    cdef blst_p2 root_hash, total2, term2
    cdef blst_p1 total1, term1
    cdef blst_p2 points2[64]
    cdef blst_p1 points1[64]
    cdef uint64_t power
    cdef size_t i, j, m, bits, n = signatures.shape[0]
    cdef size_t drawn = coefficients.shape[1], k = signature_shares.shape[1]
    if drawn > 64:
        raise ValueError("split: at most 65 shares needed")
    with nogil:
        for i in range(n):
            blst_p2_uncompress(&signature, &signatures[i, 0])
            blst_p2_affine_in_g2(&signature)
            hash_root(&root_hash, &roots[i, 0])
            for m in range(drawn):
                blst_p2_mult(&points2[m], &root_hash, &coefficients[i, m, 0], 255)
                blst_p1_mult(&points1[m], blst_p1_generator(), &coefficients[i, m, 0], 255)
            for j in range(1, k + 1):
                blst_p2_from_affine(&total2, &signature)
                blst_p1_from_affine(&total1, <const blst_p1_affine *> &public_keys[i, 0])
                power = 1
                for m in range(drawn):
                    power *= j
                    bits = 0
                    while bits < 64 and power >> bits:
                        bits += 1
                    blst_p2_mult(&term2, &points2[m], <const byte *> &power, bits)
                    blst_p1_mult(&term1, &points1[m], <const byte *> &power, bits)
                    blst_p2_add_or_double(&total2, &total2, &term2)
                    blst_p1_add_or_double(&total1, &total1, &term1)
                blst_p2_compress(&signature_shares[i, j - 1, 0], &total2)
                blst_p1_compress(&public_key_shares[i, j - 1, 0], &total1)


def receive_key_generation(const uint8_t[:, :, :, ::1] commitments, const uint8_t[:, :, ::1] shares,
                           const uint8_t[:, :, ::1] proofs, const uint8_t[:, ::1] powers, uint8_t[:, ::1] public_keys,
                           uint8_t[:, ::1] public_key_shares, uint8_t[::1] ok):
    """What d dealers send to a node, one validator after the other, as FROST has it.

    Args:
        commitments: uint8[d, m, t, 48].
        shares: uint8[d, m, 32], big-endian.
        proofs: uint8[d, m, 112]: R compressed, then the challenge c and the response w, little-endian: w G = R + c A_0.
        powers: uint8[t, 32] of the node's share index, little-endian.
        public_keys, public_key_shares: uint8[m, 48], of the sums.
    """
    cdef blst_p1_affine point, first
    cdef blst_p1 key, share, term, total, from_share
    cdef blst_scalar scalar
    cdef uint8_t encoded[48]
    cdef size_t i, j, k, d = commitments.shape[0], m = commitments.shape[1], t = commitments.shape[2]
    with nogil:
        for i in range(m):
            memset(&key, 0, sizeof(key))
            memset(&share, 0, sizeof(share))
            ok[i] = True
            for j in range(d):
                memset(&total, 0, sizeof(total))
                for k in range(t):
                    if (blst_p1_uncompress(&point, &commitments[j, i, k, 0]) != BLST_SUCCESS
                            or not blst_p1_affine_in_g1(&point) or blst_p1_affine_is_inf(&point)):
                        ok[i] = False
                    blst_p1_from_affine(&term, &point)
                    if k == 0:
                        first = point
                        blst_p1_add_or_double(&key, &key, &term)
                    else:
                        blst_p1_mult(&term, &term, &powers[k, 0], 255)
                    blst_p1_add_or_double(&total, &total, &term)
                blst_scalar_from_bendian(&scalar, &shares[j, i, 0])
                blst_sk_to_pk_in_g1(&from_share, &scalar)
                if not blst_p1_is_equal(&from_share, &total):
                    ok[i] = False
                blst_p1_add_or_double(&share, &share, &total)
                blst_p1_from_affine(&term, &first)
                blst_p1_mult(&term, &term, &proofs[j, i, 48], 255)
                blst_p1_cneg(&term, True)
                blst_p1_mult(&total, blst_p1_generator(), &proofs[j, i, 80], 255)
                blst_p1_add_or_double(&total, &total, &term)
                blst_p1_compress(encoded, &total)
                if memcmp(encoded, &proofs[j, i, 0], 48) != 0:
                    ok[i] = False
            blst_p1_compress(&public_keys[i, 0], &key)
            blst_p1_compress(&public_key_shares[i, 0], &share)


def commit(const uint8_t[:, ::1] coefficients, uint8_t[:, ::1] commitments):
    """uint8[n, 48] of uint8[n, 32], big-endian."""
    cdef blst_scalar scalar
    cdef blst_p1 point
    cdef size_t i, n = coefficients.shape[0]
    with nogil:
        for i in range(n):
            blst_scalar_from_bendian(&scalar, &coefficients[i, 0])
            blst_sk_to_pk_in_g1(&point, &scalar)
            blst_p1_compress(&commitments[i, 0], &point)
