"""The verdict on a cluster lock, check by check; node records; EIP-712 signatures next to eth_account's."""

import copy
import dataclasses
import json

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from dvtfast import HOODI, FileError, InputError, generate_secret_keys, obol, split_secret_keys
from dvtfast.clusters import read_cluster_lock
from dvtfast.obol import Verdict, Version, check_cluster_lock
from dvtfast.obol.enr import make_enr, public_key_of
from tests.vector_files import VECTORS, cases, load, unhex

SYNTHETIC = VECTORS / "obol/synthetic"
LOCK = SYNTHETIC / "node0/cluster-lock.json"
FIRST_NODE = unhex((SYNTHETIC / "node0/charon-enr-private-key").read_text())
LOCKS = cases(sorted(SYNTHETIC.glob("locks/*.json")), lambda path: path.stem)
NAMES = [
    "network", "config hash", "definition hash", "definition signatures", "lock hash", "keys and shares",
    "aggregate signature", "node signatures", "deposits", "builder registrations",
]  # fmt: skip
UNSIGNED = "the definition is unsigned, as of a cluster that one operator made"
HASHES = {"config hash", "definition hash", "lock hash"}


@pytest.mark.parametrize("path", LOCKS)
def test_good_locks(path):
    checks = check_cluster_lock(obol.read_cluster_lock(path))
    assert [check.name for check in checks] == NAMES
    others = [check for check in checks if check.verdict is not Verdict.OK]
    assert [(check.name, check.verdict, check.detail) for check in others] == [
        ("definition signatures", Verdict.NOT_CHECKED, UNSIGNED)
    ]


def faults(document, tmp_path):
    """Names and details of what is wrong."""
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(document))
    checks = check_cluster_lock(obol.read_cluster_lock(path))
    return {check.name: check.detail for check in checks if check.verdict is Verdict.FAULT}


def flip(text):
    """Another last digit."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


CHANGES = {
    "name": (
        lambda lock: lock["cluster_definition"].update(name="other"),
        HASHES,
        "config hash",
        "cluster_definition.config_hash: does not fit the content, expected 0x",
    ),
    "lock-hash": (
        lambda lock: lock.update(lock_hash=flip(lock["lock_hash"])),
        {"lock hash", "aggregate signature", "node signatures"},
        "lock hash",
        "lock_hash: does not fit the content, expected 0x",
    ),
    "no-aggregate": (
        lambda lock: lock.update(signature_aggregate=""),
        {"aggregate signature"},
        "aggregate signature",
        "signature_aggregate: empty, nobody has signed this lock",
    ),
    "aggregate": (
        lambda lock: lock.update(signature_aggregate="0x" + "00" * 96),
        {"aggregate signature"},
        "aggregate signature",
        "signature_aggregate: not the signature of all key shares",
    ),
    "no-node-signatures": (
        lambda lock: lock.update(node_signatures=None),
        {"node signatures"},
        "node signatures",
        "node_signatures: empty, no node has signed this lock",
    ),
    "node-signatures-swapped": (
        lambda lock: lock["node_signatures"].__setitem__(slice(1, 3), lock["node_signatures"][2:0:-1]),
        {"node signatures"},
        "node signatures",
        "node_signatures[1]: not the signature of this node over the lock hash",
    ),
    "zero-node-signature": (
        lambda lock: lock["node_signatures"].__setitem__(3, "0x" + "00" * 65),
        {"node signatures"},
        "node signatures",
        "node_signatures[3]: not the signature of this node over the lock hash",
    ),
    "enr": (
        lambda lock: lock["cluster_definition"]["operators"][2].update(enr="enr:-"),
        {"definition hash", "lock hash", "node signatures"},
        "node signatures",
        "cluster_definition.operators[2].enr: not a node record",
    ),
    "enr-of-another": (
        lambda lock: lock["cluster_definition"]["operators"][3].update(enr=make_enr(FIRST_NODE, sequence=9)),
        {"definition hash", "lock hash", "node signatures"},
        "node signatures",
        "cluster_definition.operators[3].enr: has the key of operators[0]; each node has its own",
    ),
    "share-order": (
        lambda lock: lock["distributed_validators"][1]["public_shares"].reverse(),
        {"lock hash", "keys and shares"},
        "keys and shares",
        "validator 0x8cb21f0e5692504347d4fa3e72dd33bc06e7bb2116465c4654de55b50d942486e08eb5ec8ed8d170bb8a795e"
        "7b9ced95: the public key shares do not give its public key with threshold 3",
    ),
    "deposit": (
        lambda lock: lock["distributed_validators"][1]["partial_deposit_data"][0].update(amount="2"),
        {"lock hash", "deposits"},
        "deposits",
        "deposit not signed by its validator: 0x8cb21f0e",
    ),
    "deposit-of-another": (
        lambda lock: lock["distributed_validators"][0].update(
            partial_deposit_data=lock["distributed_validators"][1]["partial_deposit_data"]
        ),
        {"lock hash", "deposits"},
        "deposits",
        "deposit not signed by its validator: 0xa3927ffa",
    ),
    "registration": (
        lambda lock: lock["distributed_validators"][2]["builder_registration"]["message"].update(gas_limit=1),
        {"lock hash", "builder registrations"},
        "builder registrations",
        "builder registration not signed by its validator: 0x8a4e9968",
    ),
    "network": (
        lambda lock: lock["cluster_definition"].update(fork_version="0x01017000"),
        {"network", *HASHES},
        "network",
        "cluster_definition.fork_version: expected one of 00000000",
    ),
}


@pytest.mark.parametrize(("change", "names", "name", "detail"), CHANGES.values(), ids=CHANGES)
def test_no_fault_hides_another(tmp_path, change, names, name, detail):
    document = copy.deepcopy(load("obol/synthetic/node0/cluster-lock.json"))
    change(document)
    found = faults(document, tmp_path)
    assert set(found) == names
    assert found[name].startswith(detail)
    serious = names - {"deposits", "builder registrations", "network", "keys and shares"}
    if serious:  # what is of concern to who signs exits is no cluster for programs
        with pytest.raises(FileError):
            read_cluster_lock(tmp_path / "lock.json")


# --- node records ---

NODE = PrivateKey(b"\x07" * 32)
RECORD = make_enr(NODE.secret, sequence=3)


def test_record_of_eip_778():
    """The example of the specification, which also has an address."""
    record = (
        "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0"
        "gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
    )
    expected = "03ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138"
    assert public_key_of(record).hex() == expected


@pytest.mark.parametrize("sequence", [0, 1, 127, 128, 300, 2**63])
def test_records_that_are_made_are_read(sequence):
    assert public_key_of(make_enr(NODE.secret, sequence=sequence)) == NODE.public_key.format()


@pytest.mark.parametrize(
    "record",
    ["", "enr:", "enr:====", "enr:AA", "enr:wA", "enr:" + "-" * 200, RECORD[4:], RECORD + "AA", RECORD[:-4],
     "enr:" + "A" * 4000, "enr:\u00e9", "enr:-P__________8"],
)  # fmt: skip
def test_what_is_no_record(record):
    with pytest.raises(InputError, match="not a node record"):
        public_key_of(record)


def test_every_changed_letter_of_a_record_is_found():
    for place in range(4, len(RECORD) - 1):
        changed = RECORD[:place] + ("A" if RECORD[place] != "A" else "B") + RECORD[place + 1 :]
        with pytest.raises(InputError):
            public_key_of(changed)


# --- EIP-712 ---

ACCOUNTS = [Account.create() for _ in range(5)]  # of the creator, then of the operators
DOMAIN = {"name": "Obol", "version": "1", "chainId": HOODI.chain_id}


def signature(account, type_, field, value):
    types = {
        type_: [{"name": field, "type": "string"}],
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
        ],
    }
    message = encode_typed_data(
        full_message={"types": types, "primaryType": type_, "domain": DOMAIN, "message": {field: value}}
    )
    return bytes(account.sign_message(message).signature)


def signed(definition, *, low_v=False):
    """The definition, with everybody's addresses and signatures."""

    def by(account, *message):
        made = signature(account, *message)
        return made[:64] + bytes([made[64] - 27]) if low_v else made

    addressed = dataclasses.replace(
        definition,
        creator=obol.Creator(ACCOUNTS[0].address),
        operators=tuple(
            dataclasses.replace(operator, address=account.address)
            for operator, account in zip(definition.operators, ACCOUNTS[1:], strict=True)
        ),
    )
    config_hash = obol.config_hash(addressed)
    text = "0x" + config_hash.hex()
    complete = dataclasses.replace(
        addressed,
        config_hash=config_hash,
        creator=obol.Creator(
            ACCOUNTS[0].address, by(ACCOUNTS[0], "CreatorConfigHash", "creator_config_hash", text)
        ),
        operators=tuple(
            dataclasses.replace(
                operator,
                config_signature=by(account, "OperatorConfigHash", "operator_config_hash", text),
                enr_signature=by(account, "ENR", "enr", operator.enr),
            )
            for operator, account in zip(addressed.operators, ACCOUNTS[1:], strict=True)
        ),
    )
    return dataclasses.replace(complete, definition_hash=obol.definition_hash(complete))


@pytest.fixture(scope="module", params=[Version.V1_7, Version.V1_11], ids=lambda version: version.text)
def unsigned(request):
    secret_keys = generate_secret_keys(1)
    return obol.build_cluster_lock(
        secret_keys,
        split_secret_keys(secret_keys, threshold=3, share_indices=[1, 2, 3, 4]),
        threshold=3,
        network=HOODI,
        node_secret_keys=[bytes([node]) * 32 for node in range(1, 5)],
        withdrawal_address=b"\x11" * 20,
        fee_recipient=b"\x22" * 20,
        version=request.param,
    )


def consent(lock):
    (check,) = (check for check in check_cluster_lock(lock) if check.name == "definition signatures")
    return check.verdict, check.detail


@pytest.mark.parametrize("low_v", [True, False])
def test_signed_definition(unsigned, low_v):
    lock = dataclasses.replace(unsigned, definition=signed(unsigned.definition, low_v=low_v))
    assert consent(lock) == (Verdict.OK, "creator and 4 operators")


def test_signatures_that_an_account_did_not_make(unsigned):
    definition = signed(unsigned.definition)
    operators = list(definition.operators)
    operators[1] = dataclasses.replace(operators[1], enr_signature=operators[2].enr_signature)
    lock = dataclasses.replace(
        unsigned, definition=dataclasses.replace(definition, operators=tuple(operators))
    )
    verdict, detail = consent(lock)
    assert verdict is Verdict.NOT_CHECKED
    assert detail.startswith("operators[1].enr_signature: not by the key")


@pytest.mark.parametrize("lacking", ["address", "enr_signature", "config_signature"])
def test_a_signature_is_missing_where_others_have_signed(unsigned, lacking):
    definition = signed(unsigned.definition)
    empty = "" if lacking == "address" else b""
    operators = list(definition.operators)
    operators[3] = dataclasses.replace(operators[3], **{lacking: empty})
    lock = dataclasses.replace(
        unsigned, definition=dataclasses.replace(definition, operators=tuple(operators))
    )
    verdict, detail = consent(lock)
    assert verdict is Verdict.FAULT
    assert detail.startswith("operators[3].")
    assert detail.endswith(": missing, but others have signed")
