"""Arguments of every wrong kind, to every function: the named error, never a crash or a quiet answer."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dvtfast
from dvtfast import InputError, ThresholdError
from tests.samples import make_cluster, rows
from tests.vector_files import load, unhex

CLUSTER = make_cluster(4, threshold=3, share_indices=(1, 2, 3, 4))
CREDENTIALS, AMOUNTS = np.zeros((4, 32), np.uint8), np.full(4, 32_000_000_000, np.uint64)
ORACLES = load("protocol_config_sample.json")["oracles"][:4]
ORACLE_KEYS = rows([unhex(oracle["public_key"]) for oracle in ORACLES], 64)


@dataclass(frozen=True)
class Call:
    """A function, good arguments, and which of these are rows."""

    function: Callable[..., Any]
    rows: tuple[str, ...]
    arguments: dict[str, Any]

    def __call__(self, **changed: Any) -> Any:
        return self.function(**(self.arguments | changed))


def call(function, rows, /, **arguments):
    return Call(function, tuple(rows.split()), arguments)


CALLS = {
    each.function.__name__: each
    for each in [
        call(dvtfast.derive_public_keys, "secret_keys", secret_keys=CLUSTER.secret_keys),
        call(dvtfast.check_secret_keys, "secret_keys", secret_keys=CLUSTER.secret_keys),
        call(dvtfast.check_public_keys, "public_keys", public_keys=CLUSTER.public_keys),
        call(dvtfast.PublicKeys, "encoded", encoded=CLUSTER.public_keys),
        call(dvtfast.check_public_key_encodings, "rows", rows=CLUSTER.public_keys),
        call(dvtfast.check_signature_encodings, "rows", rows=CLUSTER.signatures),
        call(
            dvtfast.sign,
            "secret_keys signing_roots",
            secret_keys=CLUSTER.secret_keys,
            signing_roots=CLUSTER.signing_roots,
        ),
        *(
            call(
                function,
                "public_keys signing_roots signatures",
                public_keys=CLUSTER.public_keys,
                signing_roots=CLUSTER.signing_roots,
                signatures=CLUSTER.signatures,
            )
            for function in (dvtfast.check_signatures, dvtfast.verify_signatures)
        ),
        call(
            dvtfast.check_same_message,
            "public_keys signatures",
            public_keys=CLUSTER.public_keys,
            signing_root=CLUSTER.signing_roots[0],
            signatures=CLUSTER.signatures,
        ),
        call(dvtfast.aggregate, "signatures", signatures=CLUSTER.signatures),
        call(
            dvtfast.split_secret_keys,
            "secret_keys",
            secret_keys=CLUSTER.secret_keys,
            threshold=3,
            share_indices=CLUSTER.share_indices,
        ),
        call(
            dvtfast.recover_secret_keys,
            "key_shares",
            key_shares=CLUSTER.key_shares,
            share_indices=CLUSTER.share_indices,
            threshold=3,
        ),
        call(
            dvtfast.recover_public_keys,
            "public_key_shares",
            public_key_shares=CLUSTER.public_key_shares,
            share_indices=CLUSTER.share_indices,
            threshold=3,
        ),
        call(
            dvtfast.recover_signatures,
            "partial_signatures",
            partial_signatures=CLUSTER.partial_signatures,
            share_indices=CLUSTER.share_indices,
            threshold=3,
        ),
        call(
            dvtfast.check_public_key_shares,
            "public_keys public_key_shares",
            public_keys=CLUSTER.public_keys,
            public_key_shares=CLUSTER.public_key_shares,
            share_indices=CLUSTER.share_indices,
            threshold=3,
        ),
        call(
            dvtfast.recover_and_check,
            "public_keys signing_roots partial_signatures",
            public_keys=CLUSTER.public_keys,
            signing_roots=CLUSTER.signing_roots,
            partial_signatures=CLUSTER.partial_signatures,
            share_indices=CLUSTER.share_indices,
            threshold=3,
        ),
        call(
            dvtfast.split_exit_signatures,
            "public_keys signing_roots signatures",
            signatures=CLUSTER.signatures,
            public_keys=CLUSTER.public_keys,
            signing_roots=CLUSTER.signing_roots,
            total=4,
            threshold=3,
        ),
        call(
            dvtfast.encrypt_to_oracles,
            "signature_shares oracle_public_keys",
            signature_shares=CLUSTER.partial_signatures,
            oracle_public_keys=ORACLE_KEYS,
        ),
        call(
            dvtfast.compute_signing_roots,
            "object_roots",
            object_roots=CLUSTER.signing_roots,
            domain=bytes(32),
        ),
        call(
            dvtfast.deposit_message_roots,
            "public_keys withdrawal_credentials",
            public_keys=CLUSTER.public_keys,
            withdrawal_credentials=CREDENTIALS,
            amounts_gwei=AMOUNTS,
        ),
        call(
            dvtfast.deposit_signing_roots,
            "public_keys withdrawal_credentials",
            public_keys=CLUSTER.public_keys,
            withdrawal_credentials=CREDENTIALS,
            amounts_gwei=AMOUNTS,
            network=dvtfast.HOODI,
        ),
        call(
            dvtfast.deposit_data_roots,
            "public_keys withdrawal_credentials signatures",
            public_keys=CLUSTER.public_keys,
            withdrawal_credentials=CREDENTIALS,
            amounts_gwei=AMOUNTS,
            signatures=CLUSTER.signatures,
        ),
    ]
}
ROW_ARGUMENTS = [
    pytest.param(each, argument, id=f"{name}-{argument}")
    for name, each in CALLS.items()
    for argument in each.rows
]
# Arguments that a second, longer one of the same call must match in length.
BATCH_ARGUMENTS = [
    pytest.param(each, argument, id=f"{name}-{argument}")
    for name, each in CALLS.items()
    for argument in each.rows
    if len(each.rows) > 1 and name != "encrypt_to_oracles"
]
# Functions that answer the same to the same arguments, with arguments that have an answer.
REPEATABLE = [
    pytest.param(each, argument, id=f"{name}-{argument}")
    for name, each in CALLS.items()
    for argument in each.rows
    if name not in ("split_secret_keys", "split_exit_signatures", "encrypt_to_oracles")
]

WRONG = {
    "None": lambda _: None,
    "an integer": lambda _: 7,
    "a string": lambda rows: "00" * rows.shape[-1],
    "a dictionary": lambda _: {},
    "a wider row": lambda rows: np.concatenate([rows, rows[..., :1]], axis=-1),
    "a narrower row": lambda rows: rows[..., :-1],
    "no width": lambda rows: rows[..., :0],
    "int8": lambda rows: rows.astype(np.int8),
    "uint16": lambda rows: rows.astype(np.uint16),
    "float64": lambda rows: rows.astype(np.float64),
    "objects": lambda rows: rows.astype(object),
    "booleans": lambda rows: rows.astype(np.bool_),
    "too many axes": lambda rows: rows[np.newaxis, np.newaxis],
    "no axis": lambda rows: rows[(0,) * rows.ndim],
    "a list with a short row": lambda rows: [bytes(rows.shape[-1]), bytes(rows.shape[-1] - 1)],
    "a list with None": lambda rows: [bytes(rows.shape[-1]), None],
    "a ragged list": lambda rows: [bytes(rows.shape[-1]), [1, 2]],
    "a list of integers": lambda _: [1, 2, 3],
}


# How the same rows may lie in memory.
LAYOUTS = {
    "read-only": lambda rows: rows,
    "writable": lambda rows: rows.copy(),
    "strided": lambda rows: np.repeat(rows, 2, axis=0)[::2],
    "reversed twice": lambda rows: rows[::-1].copy()[::-1],
    "column-major": np.asfortranarray,
    "cut out of wider rows": lambda rows: np.concatenate([rows, rows], axis=-1)[..., : rows.shape[-1]],
    "unaligned": lambda rows: np.frombuffer(b"x" + rows.tobytes(), np.uint8)[1:].reshape(rows.shape),
}
# Batches of no validator have no row to complain about.
ALLOW_EMPTY = [pytest.param(each, id=name) for name, each in CALLS.items() if name != "aggregate"]


def plain(answer):
    """The answer in a form that compares with ==."""
    if isinstance(answer, dvtfast.PublicKeys):
        return answer.encoded.tobytes()
    if isinstance(answer, dvtfast.RecoveredSignatures):
        return [array.tobytes() for array in vars(answer).values()]
    return None if answer is None else answer.tobytes()


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize(("good_call", "argument"), ROW_ARGUMENTS)
def test_rows_of_a_wrong_kind(good_call, argument, wrong):
    with pytest.raises(InputError) as caught:
        good_call(**{argument: wrong(good_call.arguments[argument])})
    assert argument in str(caught.value) or argument in ("rows", "encoded")


@pytest.mark.parametrize("length", [0, 3, 5])
@pytest.mark.parametrize(("good_call", "argument"), BATCH_ARGUMENTS)
def test_batches_of_unequal_length(good_call, argument, length):
    rows = good_call.arguments[argument]
    with pytest.raises(InputError):
        good_call(**{argument: np.resize(rows, (length, *rows.shape[1:]))})


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize(("good_call", "argument"), REPEATABLE)
def test_rows_may_lie_anywhere_in_memory(good_call, argument, layout):
    rows = good_call.arguments[argument]
    before = rows.tobytes()
    assert plain(good_call(**{argument: layout(rows)})) == plain(good_call())
    assert rows.tobytes() == before


@pytest.mark.parametrize("good_call", ALLOW_EMPTY)
def test_an_empty_batch_has_an_empty_answer(good_call):
    empty = {name: good_call.arguments[name][:0] for name in good_call.rows}
    if good_call.function is dvtfast.encrypt_to_oracles:
        empty["oracle_public_keys"] = good_call.arguments["oracle_public_keys"]
    if "amounts_gwei" in good_call.arguments:
        empty["amounts_gwei"] = []
    answer = good_call(**empty)
    if isinstance(answer, dvtfast.RecoveredSignatures):
        answer = answer.signatures
    if isinstance(answer, dvtfast.OracleShares):
        answer = answer.signature_shares
    assert answer is None or len(answer) == 0


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
@pytest.mark.parametrize(
    "function", [dvtfast.check_signatures, dvtfast.recover_and_check], ids=["check", "recover"]
)
def test_odd_thread_counts(function, threads):
    with pytest.raises(InputError, match="threads"):
        CALLS[function.__name__](threads=threads)


@pytest.mark.parametrize("function", ["check_signatures", "verify_signatures", "split_exit_signatures"])
def test_keys_of_two_axes_are_not_one_batch(function):
    for keys in (CLUSTER.public_key_shares, dvtfast.PublicKeys(CLUSTER.public_key_shares)):
        with pytest.raises(InputError, match="public_keys"):
            CALLS[function](public_keys=keys)


def test_public_keys_index_only_their_leading_axes():
    keys = dvtfast.PublicKeys(CLUSTER.public_key_shares)
    assert keys.shape == (4, 4)
    assert keys[1:].shape == (3, 4)
    assert keys[:, 2].shape == (4,)
    assert np.array_equal(keys[np.array([0, 2]), 1].encoded, CLUSTER.public_key_shares[[0, 2], 1])
    with pytest.raises(InputError):
        keys[0, 0]
    with pytest.raises(InputError):
        keys[0][0]


def test_public_keys_do_not_follow_their_source():
    rows = CLUSTER.public_keys.copy()
    keys = dvtfast.PublicKeys(rows)
    rows[:] = 0
    assert np.array_equal(keys.encoded, CLUSTER.public_keys)
    with pytest.raises(ValueError, match="read-only"):
        keys.encoded[0] = 0


@pytest.mark.parametrize(
    "numbers",
    [[-1], [2**64], [1.0], ["1"], [True], [None], None, "1", b"1", np.array([1.0]), [[1]]],
    ids=repr,
)
def test_numbers_that_are_no_uint64(numbers):
    with pytest.raises(InputError, match="validator_indices"):
        dvtfast.exit_signing_roots(numbers, dvtfast.HOODI)


@pytest.mark.parametrize(
    "numbers", [np.array([5], np.int8), np.array([5], ">u8"), np.array([5], object), (5,)], ids=repr
)
def test_numbers_of_any_integer_type(numbers):
    [expected] = dvtfast.exit_signing_roots([5], dvtfast.HOODI)
    assert np.array_equal(dvtfast.exit_signing_roots(numbers, dvtfast.HOODI)[0], expected)


@pytest.mark.parametrize("epoch", [-1, 2**64, 1.0, "1"])
def test_epochs_that_are_no_uint64(epoch):
    with pytest.raises(InputError, match="epoch"):
        dvtfast.exit_signing_roots([5], dvtfast.HOODI, epoch=epoch)


@pytest.mark.parametrize(
    "arguments", [(b"123", b"1234", bytes(32)), (b"1234", b"12345", bytes(32)), (b"1234", b"1234", bytes(31))]
)
def test_domains_of_wrong_widths(arguments):
    with pytest.raises(InputError):
        dvtfast.compute_domain(*arguments)


@pytest.mark.parametrize("dst", [b"", bytes(256), "text", None], ids=["empty", "256 bytes", "text", "None"])
def test_hash_to_g2_with_an_odd_dst(dst):
    with pytest.raises(InputError, match="dst"):
        dvtfast.hash_to_g2([b"message"], dst=dst)


@pytest.mark.parametrize("messages", [b"message", "message", None, 7, ["message"], [3]], ids=repr)
def test_hash_to_g2_with_odd_messages(messages):
    with pytest.raises(InputError, match="messages"):
        dvtfast.hash_to_g2(messages)


@pytest.mark.parametrize("count", [-1, 1.5, None])
def test_generate_an_odd_count_of_keys(count):
    with pytest.raises(InputError):
        dvtfast.generate_secret_keys(count)


def test_a_lone_row_is_a_batch_of_one():
    root, signature = CLUSTER.signing_roots[0], CLUSTER.signatures[0]
    assert np.array_equal(dvtfast.sign(CLUSTER.secret_keys[0], root), signature)
    assert np.array_equal(dvtfast.sign(CLUSTER.secret_keys[0].tobytes(), root.tobytes()), signature)
    assert dvtfast.check_signatures(CLUSTER.public_keys[0], root, signature).shape == ()
    assert dvtfast.exit_signing_roots(5, dvtfast.HOODI).shape == (32,)
    lone = dvtfast.recover_signatures(CLUSTER.partial_signatures[0], CLUSTER.share_indices, threshold=3)
    assert np.array_equal(lone, signature)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda row: memoryview(row.repeat(2))[::2]])
def test_a_lone_row_may_be_any_bytes(kind):
    row = kind(CLUSTER.signatures[0].copy())
    assert dvtfast.check_signatures(CLUSTER.public_keys[0], CLUSTER.signing_roots[0], row)


COUNTED = [each for each in CALLS.values() if "threshold" in each.arguments]
ON_A_NETWORK = [each for each in CALLS.values() if "network" in each.arguments]


@pytest.mark.parametrize("good_call", COUNTED, ids=lambda each: each.function.__name__)
@pytest.mark.parametrize("wrong", [True, False, 2.0, 2.5, "2", None, [2], np.float64(2), np.True_], ids=repr)
def test_counts_that_are_no_integers(good_call, wrong):
    for argument in ("threshold", "total"):
        if argument in good_call.arguments:
            with pytest.raises(InputError, match=rf"^{argument}: expected an integer of at least 1, got "):
                good_call(**{argument: wrong})


@pytest.mark.parametrize("good_call", COUNTED, ids=lambda each: each.function.__name__)
@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.uint64])
def test_counts_of_any_integer_type(good_call, kind):
    good_call(threshold=kind(3), threads=kind(1)) if "threads" in good_call.arguments else good_call(
        threshold=kind(3)
    )
    for low in (kind(0), 0, -1):
        with pytest.raises(ThresholdError, match=r"^threshold: expected at least 1"):
            good_call(threshold=low)


def test_subsets_that_are_no_count():
    for wrong in (True, 1.5, "5", -1):
        with pytest.raises(InputError, match=r"^max_subsets: expected an integer of at least 0"):
            CALLS["recover_and_check"](max_subsets=wrong)


@pytest.mark.parametrize("good_call", ON_A_NETWORK, ids=lambda each: each.function.__name__)
def test_a_name_is_no_network(good_call):
    for wrong, hint in (
        ("hoodi", r"; network_named\('hoodi'\) is one$"),
        ("hodi", "'hodi'$"),
        (None, "None$"),
    ):
        with pytest.raises(
            InputError, match=f"^network: expected a Network, such as dvtfast.HOODI, got .*{hint}"
        ):
            good_call(network=wrong)


@pytest.mark.parametrize(
    "of_bytes",
    [np.s_[:, ::-1], np.s_[:, :48], np.s_[:, 0], np.s_[..., 0], np.s_[..., :48], np.s_[:, None], np.s_[0]],
    ids=repr,
)
def test_columns_of_keys_and_roots_are_refused(of_bytes):
    for batch in (dvtfast.PublicKeys(CLUSTER.public_keys), dvtfast.HashedRoots(CLUSTER.signing_roots)):
        with pytest.raises(InputError, match="_"):
            batch[of_bytes]
    wide = dvtfast.PublicKeys(CLUSTER.public_key_shares)
    with pytest.raises(InputError, match="public_keys"):
        wide[:, :, ::-1]
    assert wide[:, 1].shape == (4,)
    assert wide[0].shape == (4,)


def test_results_compare_by_identity():
    """Their arrays have no one truth to compare, and change: two results are never equal, one is itself."""
    one, other = CALLS["recover_and_check"](), CALLS["recover_and_check"]()
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


def test_every_class_that_holds_arrays_compares_by_identity():
    for value in vars(dvtfast).values():
        if dataclasses.is_dataclass(value) and isinstance(value, type):
            kinds = {str(field.type) for field in dataclasses.fields(value)}
            if kinds & {"Bytes", "Uint64s", "Bools", "PublicKeys", "Bytes | None"}:
                assert value.__eq__ is object.__eq__, value
                assert value.__hash__ is object.__hash__, value
