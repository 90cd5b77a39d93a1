"""SSV operators in a sidecar: settings, key shares from files, and what is wrong with those."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from dvtfast import HOODI, KeystoreError, check_signatures, ssv
from dvtfast.services.keys.key_shares import NoKeysError
from dvtfast.services.process.offload import Workers
from dvtfast.services.settings import SettingsError, SidecarSettings
from dvtfast.services.sidecar.nodes.node import ExitMessages
from dvtfast.services.sidecar.nodes.ssv import SsvFiles
from tests.vector_files import VECTORS, load, unhex

FOLDER = VECTORS / "ssv"
KEYSHARES = FOLDER / "keyshares.json"
EXPECTED = load("ssv/expected.json")
IDS = EXPECTED["operator_ids"]
OURS = 17
RAW_KEY = str(FOLDER / "operator-{operator_id}/private_key_base64.txt")
LEAST = {"network": "hoodi", "relayers": ["http://127.0.0.1:1"]}
OPERATOR = {"ssv_operator_ids": str(OURS), "ssv_operator_key": RAW_KEY}


def settings_of(environment: dict[str, str] | None = None, **flags: Any) -> SidecarSettings:
    return SidecarSettings.load({**LEAST, **flags}, environment or {})


def problems_of(environment: dict[str, str] | None = None, **flags: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_of(environment, **flags)
    return "\n".join(caught.value.problems)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers("signing", threads=1)
    yield workers
    await workers.close()


# --- settings ---


def test_the_names_of_the_first_makers() -> None:
    environment = {
        "CLUSTER_TYPE": "SSV",
        "OBOL_CLUSTER_LOCK_FILE": str(KEYSHARES),  # of the other type: not looked at
        "SSV_OPERATOR_IDS": "5, 17",
        "SSV_OPERATOR_KEY_FILE_TEMPLATE": str(FOLDER / "operator-{operator_id}/encrypted_private_key.json"),
        "SSV_OPERATOR_PASSWORD_FILE_TEMPLATE": str(FOLDER / "operator-{operator_id}/password"),
        "EXECUTION_ENDPOINT": "http://geth:8545,http://other:8545",
    }
    settings = settings_of(environment)
    assert (settings.serves_ssv, settings.serves_obol) == (True, False)
    assert settings.ssv_operator_ids == (5, 17)
    key, password = settings.ssv_key_files(17)
    assert key == FOLDER / "operator-17/encrypted_private_key.json"
    assert password == FOLDER / "operator-17/password"
    assert len(settings.execution_endpoints) == 2


def test_which_clusters_are_served() -> None:
    both: dict[str, Any] = {
        **OPERATOR,
        "ssv_keyshares": [str(KEYSHARES)],
        "cluster_lock": str(KEYSHARES),
        "keystores": str(FOLDER),
    }
    settings = settings_of(**both)
    assert (settings.serves_ssv, settings.serves_obol) == (True, True)
    settings = settings_of(**both, cluster_type="obol")
    assert (settings.serves_ssv, settings.serves_obol) == (False, True)
    del both["cluster_lock"], both["keystores"]
    settings = settings_of(**both)
    assert (settings.serves_ssv, settings.serves_obol) == (True, False)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({}, "--cluster-lock (DVTFAST_CLUSTER_LOCK or OBOL_CLUSTER_LOCK_FILE): not set"),
        ({"cluster_type": "lido"}, "expected one of obol, ssv"),
        ({"cluster_type": "ssv"}, "--ssv-operator-key"),
        ({"cluster_type": "ssv"}, "no SSV validators; set --ssv-keyshares"),
        ({"ssv_operator_ids": "5,5"}, "each integer once"),
        ({"ssv_operator_ids": "5"}, "not set, but an SSV operator needs it"),
        ({**OPERATOR, "ssv_operator_key": "nowhere"}, "no SSV validators"),
        (
            {**OPERATOR, "ssv_operator_key": "nowhere", "ssv_keyshares": [str(KEYSHARES)]},
            "no such file: nowhere",
        ),
        (
            {**OPERATOR, "ssv_operator_ids": "17,99", "ssv_keyshares": [str(KEYSHARES)]},
            "operator-99/private_key_base64.txt",
        ),
        (
            {**OPERATOR, "ssv_operator_password": "nowhere", "ssv_keyshares": [str(KEYSHARES)]},
            "--ssv-operator-password-file",
        ),
        (
            {"ssv_operator_ids": "5,17", "ssv_operator_key": "key", "ssv_keyshares": [str(KEYSHARES)]},
            "several operators need {operator_id} in its name",
        ),
        (
            {**OPERATOR, "network": "gnosis", "execution_endpoints": ["http://node:8545"]},
            "--ssv-contract (DVTFAST_SSV_CONTRACT): not set, and there is no SSV on gnosis",
        ),
        ({**OPERATOR, "ssv_owners": ["0x12"]}, "--ssv-owner"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told(flags: dict[str, Any], complaint: str) -> None:
    assert complaint in problems_of(**flags)


# --- files ---


def source_of(workers: Workers, *files: Path, **flags: Any) -> SsvFiles:
    return SsvFiles(settings_of(ssv_keyshares=[str(f) for f in files], **{**OPERATOR, **flags}), workers)


async def test_a_node_for_each_operator(workers: Workers) -> None:
    ids = ",".join(map(str, IDS))
    nodes = await source_of(workers, KEYSHARES, ssv_operator_ids=ids).load()
    assert [node.share_index for node in nodes] == IDS
    indices = [7, 2**64 - 1, 0]
    for node in nodes:
        exits = ExitMessages.of(range(3), indices, HOODI)
        signed = await node.signer.sign(exits)
        shares = [unhex(v["shares"][str(node.share_index)]["public"]) for v in EXPECTED["validators"]]
        assert check_signatures(shares, exits.signing_roots, signed.signatures).all()
        assert [key.tobytes() for key in node.public_keys] == [
            unhex(v["public_key"]) for v in EXPECTED["validators"]
        ]
        await node.signer.close()


def changed(tmp_path: Path, change: Callable[[list[Any]], None], name: str = "keyshares.json") -> Path:
    document = json.loads(KEYSHARES.read_text())
    change(document["shares"])
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return path


def damage(item: Any, place: int) -> None:
    """Change one byte of sharesData."""
    data = bytearray.fromhex(item["payload"]["sharesData"][2:])
    data[place] ^= 1
    item["payload"]["sharesData"] = "0x" + data.hex()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda shares: shares[1]["data"].update(ownerNonce=99), "did not sign for its owner at nonce 99"),
        (lambda shares: damage(shares[1], 96 + 48 + 20), "public key share of operator 17 is no valid"),
        (
            lambda shares: damage(shares[1], 96 + 4 * 48 + 256 + 100),
            "is not its key share, or",
        ),
    ],
)
async def test_a_bad_validator_is_named_and_the_others_serve(
    workers: Workers, tmp_path: Path, change: Callable[[list[Any]], None], problem: str
) -> None:
    with capture_logs() as lines:
        (node,) = await source_of(workers, changed(tmp_path, change)).load()
    keys = [unhex(v["public_key"]) for v in EXPECTED["validators"]]
    assert [key.tobytes() for key in node.public_keys] == [keys[0], keys[2]]
    (told,) = [line["problem"] for line in lines if "problem" in line]
    assert problem in told
    assert keys[1].hex() in told
    await node.signer.close()


async def test_validators_of_several_files(workers: Workers, tmp_path: Path) -> None:
    first = changed(tmp_path, lambda shares: shares.pop(), "first.json")
    second = changed(tmp_path, lambda shares: shares.pop(0), "second.json")
    with capture_logs() as lines:
        (node,) = await source_of(workers, first, second).load()
    assert len(node.public_keys) == 3
    (told,) = [line["problem"] for line in lines if "problem" in line]
    assert "second.json: validator 0x" in told
    assert "is in another file, too" in told
    await node.signer.close()


async def test_many_problems_are_counted(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvtfast.services.sidecar.nodes.ssv.SHOWN_ITEMS", 1)
    path = changed(tmp_path, lambda shares: [damage(item, 96 + 4 * 48 + 256) for item in shares[:2]] and None)
    with capture_logs() as lines:
        (node,) = await source_of(workers, path).load()
    assert [line["event"] for line in lines[:2]] == ["key share problem", "more key share problems"]
    assert lines[1]["count"] == 1
    await node.signer.close()


async def test_operators_that_are_not_there(workers: Workers) -> None:
    key = RAW_KEY.replace("{operator_id}", "5")
    with pytest.raises(NoKeysError, match=r"no validator has operator 6; there are \[5, 17, 242, 1093\]"):
        await source_of(workers, KEYSHARES, ssv_operator_ids="6", ssv_operator_key=key).load()
    with pytest.raises(NoKeysError, match="opens none of 3 key shares; is it operator 17's"):
        await source_of(workers, KEYSHARES, ssv_operator_key=key).load()


async def test_a_wrong_password(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    encrypted = FOLDER / "operator-17/encrypted_private_key.json"
    flags = {"ssv_operator_key": str(encrypted), "ssv_operator_password": str(tmp_path / "password")}
    with pytest.raises(KeystoreError, match="wrong password") as caught:
        await source_of(workers, KEYSHARES, **flags).load()
    assert caught.value.path == encrypted


async def test_changed_files_are_noticed(workers: Workers, tmp_path: Path) -> None:
    keyshares, key = tmp_path / "keyshares.json", tmp_path / "key"
    shutil.copy(KEYSHARES, keyshares)
    shutil.copy(RAW_KEY.replace("{operator_id}", "17"), key)
    source = source_of(workers, keyshares, ssv_operator_key=str(key))
    states = [source.fingerprint()]
    for file in (keyshares, key):
        file.write_text(file.read_text() + "\n")
        states.append(source.fingerprint())
    assert len(set(states)) == 3
    assert source.fingerprint() == states[-1]


async def test_keys_are_wiped_and_never_shown(workers: Workers) -> None:
    with capture_logs() as lines:
        (node,) = await source_of(workers, KEYSHARES).load()
    secrets = [unhex(v["shares"][str(OURS)]["secret"]).hex() for v in EXPECTED["validators"]]
    assert not any(secret in repr(node) + repr(lines) for secret in secrets)
    keys = node.signer._keys  # type: ignore[attr-defined]
    assert keys.secret_keys.any()
    await node.signer.close()
    assert not keys.secret_keys.any()


def test_decrypted_shares_are_not_shown() -> None:
    key = ssv.read_operator_key(RAW_KEY.replace("{operator_id}", "17"))
    opened = ssv.open_key_shares(ssv.read_keyshares(KEYSHARES), OURS, key)
    with np.printoptions(threshold=10**9):
        assert ", ".join(map(str, opened.key_shares[0][:4])) not in repr(opened)
