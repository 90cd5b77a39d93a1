"""Hash tree roots of SSZ values from their bytes, which are judged on the way.

A type is one row of a table, what it is made of stands above it; src/dvtfast/duties/ssz.py writes it. Roots are
built from the left, with one node kept for each level, so that no memory is needed whatever a value's size.

Source: consensus-specs, ssz/simple-serialize.md (deserialization, merkleization).
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from dvtfast._native.roots cimport parent, uint64_chunk
from dvtfast._native.status cimport Status

cdef enum:
    KIND, FIXED, LIMIT, CHILD, DEPTH, COLUMNS  # of a row: fixed size or 0; depth of the tree over its chunks
    CHUNK = 32
    OFFSET = 4
    LEVELS = 56

cdef enum:
    NUMBER, BYTES, BYTE_LIST, BITS, BIT_LIST, NUMBER_LIST, VECTOR, LIST, CONTAINER

cdef uint8_t ZERO[(LEVELS + 1) * CHUNK]  # roots of trees of zeros, by depth

cdef size_t _level
memset(ZERO, 0, CHUNK)
for _level in range(LEVELS):
    parent(ZERO + (_level + 1) * CHUNK, ZERO + _level * CHUNK, ZERO + _level * CHUNK)

cdef struct Tree:
    uint64_t leaves
    uint8_t left[(LEVELS + 1) * CHUNK]  # the last full subtree of each depth

cdef struct Types:
    const uint64_t *rows
    const uint64_t *fields
    size_t where  # the innermost type that bytes do not fit


cdef inline const uint64_t *row_of(const Types *types, size_t kind) noexcept nogil:
    return types.rows + kind * COLUMNS


cdef inline uint64_t offset_at(const uint8_t *data) noexcept nogil:
    return data[0] | <uint64_t> data[1] << 8 | <uint64_t> data[2] << 16 | <uint64_t> data[3] << 24


cdef inline void add(Tree *tree, const uint8_t *leaf) noexcept nogil:
    cdef uint8_t node[CHUNK]
    cdef uint64_t n = tree.leaves
    cdef uint8_t *place = tree.left
    memcpy(node, leaf, CHUNK)
    while n & 1:
        parent(node, place, node)
        place += CHUNK
        n >>= 1
    memcpy(place, node, CHUNK)
    tree.leaves += 1


cdef void finish(uint8_t *out, const Tree *tree, uint64_t depth) noexcept nogil:
    """The root, with zeros on the right up to 2^depth leaves."""
    cdef uint64_t level
    cdef bint begun = False
    if not tree.leaves:
        memcpy(out, ZERO + depth * CHUNK, CHUNK)
        return
    if tree.leaves == (<uint64_t> 1) << depth:
        memcpy(out, tree.left + depth * CHUNK, CHUNK)
        return
    for level in range(depth):
        if (tree.leaves >> level) & 1:
            parent(out, tree.left + level * CHUNK, out if begun else ZERO + level * CHUNK)
            begun = True
        elif begun:
            parent(out, out, ZERO + level * CHUNK)


cdef void bytes_root(uint8_t *out, const uint8_t *data, size_t size, uint64_t depth, uint8_t flip) noexcept nogil:
    """The root of bytes, `flip` being the bits of the last one that do not count as they are."""
    cdef Tree tree
    cdef uint8_t last[CHUNK]
    cdef size_t rest = size
    tree.leaves = 0
    while rest > CHUNK:
        add(&tree, data)
        data += CHUNK
        rest -= CHUNK
    if rest:
        memset(last, 0, CHUNK)
        memcpy(last, data, rest)
        last[rest - 1] ^= flip
        add(&tree, last)
    finish(out, &tree, depth)


cdef inline void mix_in_length(uint8_t *out, uint64_t length) noexcept nogil:
    cdef uint8_t chunk[CHUNK]
    uint64_chunk(chunk, length)
    parent(out, out, chunk)


cdef bint bit_list(uint8_t *out, const uint64_t *row, const uint8_t *data, size_t size) noexcept nogil:
    """The highest bit of the last byte is no bit of the list, but says where it ends."""
    cdef uint64_t bits
    cdef int top = 7
    if not size or not data[size - 1] or (size - 1) * 8 > row[LIMIT]:
        return False
    while not (data[size - 1] >> top) & 1:
        top -= 1
    bits = (size - 1) * 8 + top
    if bits > row[LIMIT]:
        return False
    if out is NULL:
        return True
    if top:
        bytes_root(out, data, size, row[DEPTH], <uint8_t> (1 << top))
    else:
        bytes_root(out, data, size - 1, row[DEPTH], 0)
    mix_in_length(out, bits)
    return True


cdef bint sequence(uint8_t *out, Types *types, const uint64_t *row, const uint8_t *data,
                   size_t size) noexcept nogil:
    """The elements of a vector or list."""
    cdef Tree tree
    cdef uint8_t node[CHUNK]
    cdef uint8_t *place = NULL if out is NULL else node
    cdef uint64_t width = row_of(types, row[CHILD])[FIXED]
    cdef uint64_t count = 0, i, begin, end
    if width:
        if size % width:
            return False
        count = size // width
    elif size:
        if size < OFFSET:
            return False
        count = offset_at(data)
        if not count or count % OFFSET or count > size:
            return False
        count //= OFFSET
    if count > row[LIMIT] or (row[KIND] == VECTOR and count != row[LIMIT]):
        return False
    tree.leaves = 0
    end = size
    for i in range(count):
        if width:
            begin, end = i * width, (i + 1) * width
        else:
            begin = offset_at(data + i * OFFSET)
            end = size if i + 1 == count else offset_at(data + (i + 1) * OFFSET)
            if begin > end or end > size:
                return False
        if not root(place, types, row[CHILD], data + begin, end - begin):
            return False
        if out is not NULL:
            add(&tree, node)
    if out is not NULL:
        finish(out, &tree, row[DEPTH])
        if row[KIND] == LIST:
            mix_in_length(out, count)
    return True


cdef bint container(uint8_t *out, Types *types, const uint64_t *row, const uint8_t *data,
                    size_t size) noexcept nogil:
    """Fields one behind the other; those of no fixed size lie behind all others, where their offsets say."""
    cdef Tree tree
    cdef uint8_t node[CHUNK]
    cdef uint8_t *place = NULL if out is NULL else node
    cdef const uint64_t *fields = types.fields + row[CHILD]
    cdef uint64_t i, j, at = 0, width, begin, end, head = 0, count = row[LIMIT]
    for i in range(count):
        width = row_of(types, fields[i])[FIXED]
        head += width if width else OFFSET
    if size < head or (row[FIXED] and size != head):
        return False
    tree.leaves = 0
    begin = head  # where the next field of no fixed size has to begin
    for i in range(count):
        width = row_of(types, fields[i])[FIXED]
        if width:
            if not root(place, types, fields[i], data + at, width):
                return False
            at += width
        else:
            if offset_at(data + at) != begin:
                return False
            at += OFFSET
            end = at
            for j in range(i + 1, count):
                width = row_of(types, fields[j])[FIXED]
                if not width:
                    break
                end += width
            else:
                j = count
            end = size if j == count else offset_at(data + end)
            if end < begin or end > size:
                return False
            if not root(place, types, fields[i], data + begin, end - begin):
                return False
            begin = end
        if out is not NULL:
            add(&tree, node)
    if out is not NULL:
        finish(out, &tree, row[DEPTH])
    return True


cdef bint root(uint8_t *out, Types *types, size_t kind, const uint8_t *data, size_t size) noexcept nogil:
    """Whether bytes are a value of the type; its root, unless `out` is NULL."""
    cdef const uint64_t *row = row_of(types, kind)
    cdef bint fits = not row[FIXED] or size == row[FIXED]
    if not fits:
        pass
    elif row[KIND] == NUMBER:
        if out is not NULL:
            memset(out, 0, CHUNK)
            memcpy(out, data, size)
    elif row[KIND] == BYTES or row[KIND] == BITS:
        if row[KIND] == BITS and row[LIMIT] % 8:
            fits = not data[size - 1] >> (row[LIMIT] % 8)
        if fits and out is not NULL:
            bytes_root(out, data, size, row[DEPTH], 0)
    elif row[KIND] == BYTE_LIST or row[KIND] == NUMBER_LIST:
        fits = not size % row[CHILD] and size // row[CHILD] <= row[LIMIT]  # here the width of an element
        if fits and out is not NULL:
            bytes_root(out, data, size, row[DEPTH], 0)
            mix_in_length(out, size // row[CHILD])
    elif row[KIND] == BIT_LIST:
        fits = bit_list(out, row, data, size)
    elif row[KIND] == CONTAINER:
        fits = container(out, types, row, data, size)
    else:
        fits = sequence(out, types, row, data, size)
    if not fits and types.where > kind:
        types.where = kind
    return fits


cdef bint is_sound(const uint64_t[:, ::1] rows, const uint64_t[::1] fields) noexcept nogil:
    """Types are made of those above them, and their chunks have room in their trees."""
    cdef size_t i, j
    cdef uint64_t kind, fixed, limit, child, chunks
    for i in range(<size_t> rows.shape[0]):
        kind, fixed, limit, child = rows[i, KIND], rows[i, FIXED], rows[i, LIMIT], rows[i, CHILD]
        if limit >> LEVELS or fixed >> LEVELS or rows[i, DEPTH] > LEVELS:
            return False
        chunks = limit
        if kind == NUMBER:
            if not 0 < fixed <= CHUNK:
                return False
            chunks = 1
        elif kind == BYTES:
            if not fixed:
                return False
            chunks = (fixed + CHUNK - 1) // CHUNK
        elif kind == BITS or kind == BIT_LIST:
            if kind == BITS and (not limit or fixed != (limit + 7) // 8):
                return False
            chunks = (limit + 8 * CHUNK - 1) // (8 * CHUNK)
        elif kind == BYTE_LIST or kind == NUMBER_LIST:
            if fixed or not 0 < child <= CHUNK:
                return False
            chunks = (limit * child + CHUNK - 1) // CHUNK
        elif kind == VECTOR or kind == LIST:
            if child >= i:
                return False
        elif kind == CONTAINER:
            if not limit or child > <uint64_t> fields.shape[0] or limit > <uint64_t> fields.shape[0] - child:
                return False
            for j in range(limit):
                if fields[child + j] >= i:
                    return False
        else:
            return False
        if chunks > (<uint64_t> 1) << rows[i, DEPTH]:
            return False
    return True


def roots(const uint64_t[:, ::1] types not None, const uint64_t[::1] fields not None,
          const uint8_t[::1] data not None, const uint64_t[::1] ends not None, uint8_t[:, ::1] roots not None,
          uint8_t[::1] status not None, uint64_t[::1] where not None):
    """Roots of n values of the last type of the table; value i ends at ends[i], and the next one begins there.

    With no row for a root, values are only judged. Of one that is none, `where` is the innermost type that its
    bytes do not fit.
    """
    cdef size_t i, n = ends.shape[0], count = types.shape[0]
    cdef uint64_t begin = 0
    cdef bint hashed = roots.shape[0] > 0
    cdef Types all_types
    if (not count or types.shape[1] != COLUMNS or roots.shape[1] != CHUNK or status.shape[0] != n
            or where.shape[0] != n or (hashed and roots.shape[0] != n)):
        raise ValueError("roots: shapes disagree")
    if not is_sound(types, fields):
        raise ValueError("roots: the table is none of types")
    for i in range(n):
        if ends[i] < begin or ends[i] > <uint64_t> data.shape[0]:
            raise ValueError("roots: values do not lie one behind the other")
        begin = ends[i]
    if not n:
        return
    all_types.rows = &types[0, 0]
    all_types.fields = &fields[0] if fields.shape[0] else NULL
    begin = 0
    with nogil:
        for i in range(n):
            all_types.where = count
            if root(&roots[i, 0] if hashed else NULL, &all_types, count - 1,
                    &data[0] + begin if ends[i] else NULL, ends[i] - begin):
                status[i] = Status.OK
            else:
                status[i] = Status.BAD_ENCODING
                where[i] = all_types.where
            begin = ends[i]
