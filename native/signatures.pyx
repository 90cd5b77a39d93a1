"""Keys and signatures: derive, sign, check, aggregate."""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset
from dvtfast._native.blst cimport *
from dvtfast._native.pairing cimport (
    Equations, equations_add, equations_close, equations_hold, equations_judge, equations_open, pairing_holds,
)
from dvtfast._native.lanes cimport (
    ROWS_TOGETHER, Engine, Lanes, decode_p2s, engine_close, engine_open, hash_roots_to, sign_hashes,
)
from dvtfast._native.points cimport decode_p2
from dvtfast._native.roots cimport exit_root, parent
from dvtfast._native.status cimport Status


cdef inline Status read_secret_key(blst_scalar *out, const uint8_t *row) noexcept nogil:
    """A scalar in 1..r-1 from 32 big-endian bytes; constant-time but for the verdict."""
    blst_scalar_from_bendian(out, row)
    return Status.OK if blst_sk_check(out) else Status.BAD_SCALAR


def derive_public_keys(const uint8_t[:, ::1] secret_keys not None, uint8_t[:, ::1] public_keys not None,
                       uint8_t[::1] status not None):
    """Public keys uint8[n, 48] of secret keys uint8[n, 32]; constant-time in the secret keys."""
    cdef blst_scalar secret
    cdef blst_p1 point
    cdef size_t i, n = secret_keys.shape[0]
    if (secret_keys.shape[1] != 32 or public_keys.shape[0] != n or public_keys.shape[1] != 48
            or status.shape[0] != n):
        raise ValueError("derive_public_keys: shapes disagree")
    with nogil:
        for i in range(n):
            status[i] = read_secret_key(&secret, &secret_keys[i, 0])
            if status[i] == Status.OK:
                blst_sk_to_pk_in_g1(&point, &secret)
                blst_p1_compress(&public_keys[i, 0], &point)
        wipe(&secret, sizeof(secret))
        wipe(&point, sizeof(point))


def check_secret_keys(const uint8_t[:, ::1] secret_keys not None, uint8_t[::1] status not None):
    """OK for each scalar in 1..r-1."""
    cdef blst_scalar secret
    cdef size_t i, n = secret_keys.shape[0]
    if secret_keys.shape[1] != 32 or status.shape[0] != n:
        raise ValueError("check_secret_keys: shapes disagree")
    with nogil:
        for i in range(n):
            status[i] = read_secret_key(&secret, &secret_keys[i, 0])
        wipe(&secret, sizeof(secret))


cdef void sign_roots(const Engine *engine, uint8_t *signatures, uint8_t *status, const uint8_t *secret_keys,
                     const uint8_t *roots, size_t n) noexcept nogil:
    """Signatures [n][96], at most ROWS_TOGETHER; constant-time in the secret keys, of which nothing is left."""
    cdef blst_scalar secrets[ROWS_TOGETHER]
    cdef blst_p2_affine points[ROWS_TOGETHER]
    cdef size_t i
    for i in range(n):
        status[i] = read_secret_key(&secrets[i], secret_keys + 32 * i)
        if status[i] != Status.OK:  # signed by 1, for nobody
            memset(&secrets[i], 0, sizeof(blst_scalar))
            secrets[i].b[0] = 1
    hash_roots_to(engine, points, roots, n)
    sign_hashes(engine, points, secrets, n)
    for i in range(n):
        if status[i] == Status.OK:
            blst_p2_affine_compress(signatures + 96 * i, &points[i])
    wipe(secrets, sizeof(secrets))


def sign(const uint8_t[:, ::1] secret_keys not None, const uint8_t[:, ::1] signing_roots not None,
         uint8_t[:, ::1] signatures not None, uint8_t[::1] status not None, Lanes lanes):
    """Signatures uint8[n, 96]; constant-time in the secret keys."""
    cdef Engine engine
    cdef size_t chunk, first, n = secret_keys.shape[0]
    if (secret_keys.shape[1] != 32 or signing_roots.shape[0] != n or signing_roots.shape[1] != 32
            or signatures.shape[0] != n or signatures.shape[1] != 96 or status.shape[0] != n):
        raise ValueError("sign: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("sign: no memory for the batch")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            sign_roots(&engine, &signatures[first, 0], &status[first], &secret_keys[first, 0],
                       &signing_roots[first, 0], min(<size_t> ROWS_TOGETHER, n - first))
        wipe(engine.memory, engine.n_bytes)
        engine_close(&engine)


def sign_exits(const uint8_t[:, ::1] secret_keys not None, uint64_t epoch,
               const uint64_t[::1] validator_indices not None, const uint8_t[::1] domain not None,
               uint8_t[:, ::1] signatures not None, uint8_t[::1] status not None, Lanes lanes):
    """Signatures uint8[n, 96] of voluntary exits; constant-time in the secret keys."""
    cdef uint8_t roots[ROWS_TOGETHER * 32]
    cdef Engine engine
    cdef size_t chunk, first, size, i, n = secret_keys.shape[0]
    if (secret_keys.shape[1] != 32 or validator_indices.shape[0] != n or domain.shape[0] != 32
            or signatures.shape[0] != n or signatures.shape[1] != 96 or status.shape[0] != n):
        raise ValueError("sign_exits: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("sign_exits: no memory for the batch")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            size = min(<size_t> ROWS_TOGETHER, n - first)
            for i in range(size):
                exit_root(&roots[32 * i], epoch, validator_indices[first + i])
                parent(&roots[32 * i], &roots[32 * i], &domain[0])
            sign_roots(&engine, &signatures[first, 0], &status[first], &secret_keys[first, 0], roots, size)
        wipe(engine.memory, engine.n_bytes)
        engine_close(&engine)


def check(const uint64_t[:, ::1] public_keys not None, const uint64_t[:, ::1] hashes not None,
          const uint8_t[:, ::1] signatures not None, const uint64_t[::1] weights not None,
          uint8_t[::1] status not None, Lanes lanes):
    """Judge every signature under its decoded public key uint64[n, 12] and hashed root uint64[n, 24]."""
    cdef Equations equations
    cdef Engine engine
    cdef blst_p2_affine *decoded
    cdef int failed
    cdef size_t chunk, first, size, i, n = public_keys.shape[0]
    if (public_keys.shape[1] != 12 or hashes.shape[0] != n or hashes.shape[1] != 24
            or signatures.shape[0] != n or signatures.shape[1] != 96 or weights.shape[0] != n
            or status.shape[0] != n):
        raise ValueError("check: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("check: no memory for the batch")
    with nogil:
        decoded = <blst_p2_affine *> engine.points
        failed = equations_open(&equations, n)
        if failed == 0:
            for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
                first = chunk * ROWS_TOGETHER
                size = min(<size_t> ROWS_TOGETHER, n - first)
                decode_p2s(&engine, decoded, &status[first], &signatures[first, 0], size, False)
                for i in range(first, first + size):
                    if status[i] == Status.OK:
                        status[i] = Status.NOT_CHECKED
                        equations_add(&equations, i, <const blst_p1_affine *> &public_keys[i, 0],
                                      <const blst_p2_affine *> &hashes[i, 0], &decoded[i - first], weights[i])
            failed = equations_judge(&equations, &status[0], &engine) if n else 0
            equations_close(&equations)
        engine_close(&engine)
    if failed:
        raise MemoryError("check: no memory for the batch")


def check_alone(const uint64_t[:, ::1] public_keys not None, const uint64_t[:, ::1] hashes not None,
                const uint8_t[:, ::1] signatures not None, uint8_t[::1] status not None, Lanes lanes):
    """`check`, one by one: cheaper where many are bad."""
    cdef Engine engine
    cdef blst_p2_affine *decoded
    cdef size_t chunk, first, size, n = public_keys.shape[0]
    if (public_keys.shape[1] != 12 or hashes.shape[0] != n or hashes.shape[1] != 24
            or signatures.shape[0] != n or signatures.shape[1] != 96 or status.shape[0] != n):
        raise ValueError("check_alone: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("check_alone: no memory for the batch")
    with nogil:
        decoded = <blst_p2_affine *> engine.points
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            size = min(<size_t> ROWS_TOGETHER, n - first)
            decode_p2s(&engine, decoded, &status[first], &signatures[first, 0], size, True)
            equations_hold(&engine, &status[first], <const blst_p1_affine *> &public_keys[first, 0],
                           <const blst_p2_affine *> &hashes[first, 0], decoded, size)
        engine_close(&engine)


def aggregate(const uint8_t[:, ::1] signatures not None, uint8_t[::1] total not None,
              uint8_t[::1] status not None):
    """Plain sum of signatures uint8[n, 96]; infinity counts as zero. Valid when every status is OK."""
    cdef blst_p2 acc
    cdef blst_p2_affine point
    cdef size_t i, n = signatures.shape[0]
    if signatures.shape[1] != 96 or total.shape[0] != 96 or status.shape[0] != n:
        raise ValueError("aggregate: shapes disagree")
    with nogil:
        memset(&acc, 0, sizeof(acc))
        for i in range(n):
            status[i] = decode_p2(&point, &signatures[i, 0], True)
            if status[i] == Status.OK:
                blst_p2_add_or_double_affine(&acc, &acc, &point)
            elif status[i] == Status.IS_INFINITY:
                status[i] = Status.OK
        blst_p2_compress(&total[0], &acc)


def fast_aggregate_verify(const uint64_t[:, ::1] public_keys not None, const uint64_t[::1] root_hash not None,
                          const uint8_t[::1] signature not None):
    """Status of one signature by the sum of decoded public keys uint64[n, 12] over one hashed root."""
    cdef const blst_p1_affine *keys[2]
    cdef blst_p1 total
    cdef blst_p1_affine key
    cdef blst_p2 point
    cdef blst_p2_affine sig
    cdef blst_fp12 miller
    cdef Status status
    if public_keys.shape[1] != 12 or root_hash.shape[0] != 24 or signature.shape[0] != 96:
        raise ValueError("fast_aggregate_verify: shapes disagree")
    if public_keys.shape[0] == 0:
        return Status.MISMATCH
    with nogil:
        status = decode_p2(&sig, &signature[0], True)
        if status == Status.OK:
            keys[0], keys[1] = <const blst_p1_affine *> &public_keys[0, 0], NULL
            blst_p1s_add(&total, keys, public_keys.shape[0])
            status = Status.MISMATCH
            if not blst_p1_is_inf(&total):
                blst_p1_to_affine(&key, &total)
                blst_miller_loop(&miller, <const blst_p2_affine *> &root_hash[0], &key)
                blst_p2_from_affine(&point, &sig)
                if pairing_holds(&miller, &point):
                    status = Status.OK
    return status


def aggregate_verify(const uint64_t[:, ::1] public_keys not None, const uint64_t[:, ::1] hashes not None,
                     const uint8_t[::1] signature not None):
    """Status of one signature by decoded public keys uint64[n, 12], each over its own hashed root."""
    cdef blst_p2 point
    cdef blst_p2_affine sig
    cdef blst_fp12 product, miller
    cdef Status status
    cdef size_t i, n = public_keys.shape[0]
    if (public_keys.shape[1] != 12 or hashes.shape[0] != n or hashes.shape[1] != 24
            or signature.shape[0] != 96):
        raise ValueError("aggregate_verify: shapes disagree")
    if n == 0:
        return Status.MISMATCH
    with nogil:
        status = decode_p2(&sig, &signature[0], True)
        if status == Status.OK:
            product = blst_fp12_one()[0]
            for i in range(n):
                blst_miller_loop(&miller, <const blst_p2_affine *> &hashes[i, 0],
                                 <const blst_p1_affine *> &public_keys[i, 0])
                blst_fp12_mul(&product, &product, &miller)
            blst_p2_from_affine(&point, &sig)
            status = Status.OK if pairing_holds(&product, &point) else Status.MISMATCH
    return status
