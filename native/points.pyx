"""Points as bytes: decode, check, hash to G2."""
from libc.stdint cimport uint8_t, uint64_t
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport (
    ROWS_TOGETHER, Engine, Lanes, decode_p1s, decode_p2s, engine_close, engine_open, hash_roots_to,
)


def decode_public_keys(const uint8_t[:, ::1] rows not None, uint64_t[:, ::1] points not None,
                       uint8_t[::1] status not None, Lanes lanes):
    """Decode and fully check uint8[n, 48] into affine points uint64[n, 12]."""
    cdef Engine engine
    cdef size_t n = rows.shape[0]
    if rows.shape[1] != 48 or points.shape[1] != 12 or points.shape[0] != n or status.shape[0] != n:
        raise ValueError("decode_public_keys: shapes disagree")
    if n == 0:
        return
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("decode_public_keys: no memory for the batch")
    with nogil:
        decode_p1s(&engine, <blst_p1_affine *> &points[0, 0], &status[0], &rows[0, 0], n, True)
        engine_close(&engine)


def check_g1(const uint8_t[:, ::1] rows not None, bint subgroup, uint8_t[::1] status not None, Lanes lanes):
    """Decode uint8[n, 48]; infinity has its own status."""
    cdef Engine engine
    cdef size_t chunk, first, n = rows.shape[0]
    if rows.shape[1] != 48 or status.shape[0] != n:
        raise ValueError("check_g1: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("check_g1: no memory for the batch")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            decode_p1s(&engine, <blst_p1_affine *> engine.points, &status[first], &rows[first, 0],
                       min(<size_t> ROWS_TOGETHER, n - first), subgroup)
        engine_close(&engine)


def check_g2(const uint8_t[:, ::1] rows not None, bint subgroup, uint8_t[::1] status not None, Lanes lanes):
    """Decode uint8[n, 96]; infinity has its own status."""
    cdef Engine engine
    cdef size_t chunk, first, n = rows.shape[0]
    if rows.shape[1] != 96 or status.shape[0] != n:
        raise ValueError("check_g2: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("check_g2: no memory for the batch")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            decode_p2s(&engine, <blst_p2_affine *> engine.points, &status[first], &rows[first, 0],
                       min(<size_t> ROWS_TOGETHER, n - first), subgroup)
        engine_close(&engine)


def hash_to_g2(const uint8_t[::1] messages not None, const uint64_t[::1] ends not None,
               const uint8_t[::1] dst not None, uint8_t[:, ::1] points not None):
    """Hash messages[ends[i-1]:ends[i]] to compressed points uint8[n, 96] (RFC 9380, random oracle)."""
    cdef blst_p2 point
    cdef size_t i, begin = 0, n = ends.shape[0], dst_bytes = dst.shape[0]
    cdef const uint8_t *tag = &dst[0] if dst_bytes else NULL
    # An empty message still needs an address.
    cdef const uint8_t *text = &messages[0] if messages.shape[0] else <const uint8_t *> &point
    if points.shape[0] != n or points.shape[1] != 96:
        raise ValueError("hash_to_g2: shapes disagree")
    for i in range(n):
        if ends[i] < begin or ends[i] > <uint64_t> messages.shape[0]:
            raise ValueError("hash_to_g2: ends must ascend within messages")
        begin = ends[i]
    begin = 0
    with nogil:
        for i in range(n):
            blst_hash_to_g2(&point, text + begin, ends[i] - begin, tag, dst_bytes, NULL, 0)
            blst_p2_compress(&points[i, 0], &point)
            begin = ends[i]


def hash_roots(const uint8_t[:, ::1] signing_roots not None, uint64_t[:, ::1] hashes not None, Lanes lanes):
    """Hash signing roots uint8[n, 32] to affine points uint64[n, 24], under the signature DST."""
    cdef Engine engine
    cdef size_t chunk, first, n = signing_roots.shape[0]
    if signing_roots.shape[1] != 32 or hashes.shape[0] != n or hashes.shape[1] != 24:
        raise ValueError("hash_roots: shapes disagree")
    if engine_open(&engine, lanes, NULL, 0):
        raise MemoryError("hash_roots: no memory for the batch")
    with nogil:
        for chunk in range((n + ROWS_TOGETHER - 1) // ROWS_TOGETHER):
            first = chunk * ROWS_TOGETHER
            hash_roots_to(&engine, <blst_p2_affine *> &hashes[first, 0], &signing_roots[first, 0],
                          min(<size_t> ROWS_TOGETHER, n - first))
        engine_close(&engine)
