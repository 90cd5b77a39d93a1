"""The primitives of blst, each in a loop over n different inputs: what no batch can do without."""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from dvtfast._native.blst cimport *
from dvtfast._native.points cimport hash_root, p1s_to_affine, p2s_to_affine


cdef class Inputs:
    """n signatures in G2, keys in G1, roots and hashes, decoded, in Jacobian and in affine form."""
    cdef readonly size_t n
    cdef const uint8_t[:, ::1] encoded
    cdef const uint8_t[:, ::1] roots
    cdef const uint8_t[:, ::1] scalars  # little-endian
    cdef blst_p2 *signatures
    cdef blst_p2 *hashes
    cdef blst_p2 *room2
    cdef blst_p1 *keys
    cdef blst_p1 *room1
    cdef blst_p2_affine *signatures_affine
    cdef blst_p2_affine *hashes_affine
    cdef blst_p2_affine *room2_affine
    cdef blst_p1_affine *keys_affine
    cdef blst_p1_affine *room1_affine
    cdef uint8_t *bytes_
    cdef limb_t *scratch
    cdef blst_fp12 product

    def __cinit__(self, const uint8_t[:, ::1] encoded, const uint8_t[:, ::1] roots,
                  const uint8_t[:, ::1] scalars, const uint64_t[:, ::1] public_keys):
        cdef size_t i, n = encoded.shape[0]
        self.n, self.encoded, self.roots, self.scalars = n, encoded, roots, scalars
        self.signatures = <blst_p2 *> malloc(n * sizeof(blst_p2))
        self.hashes = <blst_p2 *> malloc(n * sizeof(blst_p2))
        self.room2 = <blst_p2 *> malloc(n * sizeof(blst_p2))
        self.keys = <blst_p1 *> malloc(n * sizeof(blst_p1))
        self.room1 = <blst_p1 *> malloc(n * sizeof(blst_p1))
        self.signatures_affine = <blst_p2_affine *> malloc(n * sizeof(blst_p2_affine))
        self.hashes_affine = <blst_p2_affine *> malloc(n * sizeof(blst_p2_affine))
        self.room2_affine = <blst_p2_affine *> malloc(n * sizeof(blst_p2_affine))
        self.keys_affine = <blst_p1_affine *> malloc(n * sizeof(blst_p1_affine))
        self.room1_affine = <blst_p1_affine *> malloc(n * sizeof(blst_p1_affine))
        self.bytes_ = <uint8_t *> malloc(96 * n)
        self.scratch = <limb_t *> malloc(blst_p2s_mult_pippenger_scratch_sizeof(n))
        for i in range(n):
            blst_p2_uncompress(&self.signatures_affine[i], &encoded[i, 0])
            blst_p2_from_affine(&self.signatures[i], &self.signatures_affine[i])
            blst_p2_double(&self.signatures[i], &self.signatures[i])  # a denominator to divide by
            self.keys_affine[i] = (<const blst_p1_affine *> &public_keys[i, 0])[0]
            blst_p1_from_affine(&self.keys[i], &self.keys_affine[i])
            blst_p1_double(&self.keys[i], &self.keys[i])
            hash_root(&self.hashes[i], &roots[i, 0])
        p2s_to_affine(self.hashes_affine, self.hashes, n)
        blst_miller_loop(&self.product, self.hashes_affine, self.keys_affine)

    def __dealloc__(self):
        free(self.signatures)
        free(self.hashes)
        free(self.room2)
        free(self.keys)
        free(self.room1)
        free(self.signatures_affine)
        free(self.hashes_affine)
        free(self.room2_affine)
        free(self.keys_affine)
        free(self.room1_affine)
        free(self.bytes_)
        free(self.scratch)

    def decompress_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_p2_uncompress(&self.room2_affine[i], &self.encoded[i, 0])

    def in_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                if not blst_p2_in_g2(&self.signatures[i]):
                    break

    def hash_to_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                hash_root(&self.room2[i], &self.roots[i, 0])

    def sign_hash(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_sign_pk_in_g1(&self.room2[i], &self.hashes[i], <const blst_scalar *> &self.scalars[i, 0])

    def double_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_p2_double(&self.room2[i], &self.signatures[i])

    def add_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_p2_add_or_double(&self.room2[i], &self.signatures[i], &self.hashes[i])

    def add_affine_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_p2_add_or_double_affine(&self.room2[i], &self.signatures[i], &self.hashes_affine[i])

    def multiply_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_p2_mult(&self.room2[i], &self.signatures[i], &self.scalars[i, 0], 255)

    def multiply_g1_64(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_p1_mult(&self.room1[i], &self.keys[i], &self.scalars[i, 0], 64)

    def sum_64(self):
        cdef const blst_p2_affine *points[2]
        cdef const byte *scalars[2]
        cdef const uint8_t *weights = &self.scalars[0, 0]
        with nogil:
            points[0], points[1] = self.signatures_affine, NULL
            scalars[0], scalars[1] = weights, NULL
            blst_p2s_mult_pippenger(self.room2, points, self.n, scalars, 64, self.scratch)

    def miller_loops(self):
        cdef const blst_p2_affine *qs[2]
        cdef const blst_p1_affine *ps[2]
        with nogil:
            qs[0], qs[1] = self.hashes_affine, NULL
            ps[0], ps[1] = self.keys_affine, NULL
            blst_miller_loop_n(&self.product, qs, ps, self.n)

    def miller_loop_and_final_exponentiation(self):
        """Once, not n times."""
        cdef blst_fp12 right
        with nogil:
            blst_miller_loop(&right, self.hashes_affine, self.keys_affine)
            blst_fp12_finalverify(&self.product, &right)

    def affine_g2(self):
        with nogil:
            p2s_to_affine(self.room2_affine, self.signatures, self.n)

    def affine_g1(self):
        with nogil:
            p1s_to_affine(self.room1_affine, self.keys, self.n)

    def compress_g2(self):
        cdef size_t i
        with nogil:
            for i in range(self.n):
                blst_p2_affine_compress(self.bytes_ + 96 * i, &self.signatures_affine[i])

    def recover_and_check_one(self, const uint8_t[:, ::1] partial_signatures):
        """Recover from shares 1, 2, 3 and check one validator, called from C with nothing around it."""
        cdef blst_p2_affine shares[3]
        cdef blst_p2_affine qs[2]  # hash and signature
        cdef blst_p1_affine ps[2]
        cdef const blst_p2_affine *qs_start[2]
        cdef const blst_p1_affine *ps_start[2]
        cdef blst_p2 point
        cdef uint8_t encoded[96]
        cdef size_t j
        cdef bint ok = True
        with nogil:
            for j in range(3):
                blst_p2_uncompress(&shares[j], &partial_signatures[j, 0])
            blst_fp2_cneg(&shares[1].y, &shares[1].y, True)  # 3 (S1 - S2) + S3
            blst_p2_from_affine(&point, &shares[0])
            blst_p2_add_or_double_affine(&point, &point, &shares[1])
            self.room2[0] = point
            blst_p2_double(&point, &point)
            blst_p2_add_or_double(&point, &point, &self.room2[0])
            blst_p2_add_or_double_affine(&point, &point, &shares[2])
            ok = blst_p2_in_g2(&point)
            blst_p2_to_affine(&qs[1], &point)
            blst_p2_affine_compress(encoded, &qs[1])
            hash_root(&point, &self.roots[0, 0])
            blst_p2_to_affine(&qs[0], &point)
            ps[0], ps[1] = self.keys_affine[0], blst_p1_affine_generator()[0]
            blst_fp_cneg(&ps[1].y, &ps[1].y, True)
            qs_start[0], qs_start[1] = qs, NULL
            ps_start[0], ps_start[1] = ps, NULL
            blst_miller_loop_n(&self.product, qs_start, ps_start, 2)
            ok = ok and blst_fp12_finalverify(&self.product, blst_fp12_one())
        return ok
