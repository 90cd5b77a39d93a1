from enum import IntEnum

class Status(IntEnum):
    NOT_CHECKED = 0
    OK = 1
    BAD_ENCODING = 2
    NOT_ON_CURVE = 3
    NOT_IN_GROUP = 4
    IS_INFINITY = 5
    BAD_SCALAR = 6
    MISMATCH = 7
    UNEXPECTED = 8
