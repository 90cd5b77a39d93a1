"""Operator keys in every form that SSV's node reads, and what is none of them."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dvtfast import InputError, KeystoreError, ssv
from dvtfast.keystores import PBKDF2_INSECURE
from tests.vector_files import VECTORS, load

OPERATORS = load("ssv/expected.json")["operator_ids"]
OTHER_KEY = load("ssv/keyshares.json")["shares"][0]["data"]["operators"][0]["operatorKey"]
SECRET = b"a test secret"


@pytest.fixture(scope="module")
def key():
    return ssv.generate_operator_key()


def opens(key, other):
    return other.decrypt(key.public_key.encrypt(SECRET)) == SECRET


@pytest.mark.parametrize("operator", OPERATORS)
def test_vectors(operator):
    """Operator 5 has a keystore of full cost; some say pubKey, some pubkey."""
    folder = VECTORS / f"ssv/operator-{operator}"
    raw = ssv.read_operator_key(folder / "private_key_base64.txt")
    encrypted = ssv.read_operator_key(folder / "encrypted_private_key.json", folder / "password")
    assert raw.public_key == encrypted.public_key
    assert opens(raw, encrypted)
    listed = {
        item["id"]: item["operatorKey"]
        for item in load("ssv/keyshares.json")["shares"][0]["data"]["operators"]
    }
    assert raw.public_key.text == listed[operator]


def pkcs8(pem):
    key = serialization.load_pem_private_key(pem.encode(), None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    "form",
    [
        lambda pem: pem,
        lambda pem: "\n\n" + pem.replace("\n", "\r\n") + "\n",
        pkcs8,
        lambda pem: base64.b64encode(pem.encode()).decode(),
        lambda pem: base64.encodebytes(pem.encode()).decode(),
        lambda pem: base64.b64encode(pkcs8(pem).encode()).decode() + "\n",
    ],
    ids=["pem", "pem-with-spaces", "pkcs8", "base64", "base64-in-lines", "base64-of-pkcs8"],
)
def test_forms(tmp_path, key, form):
    (tmp_path / "key").write_text(form(key.pem()))
    assert opens(key, ssv.read_operator_key(tmp_path / "key"))


@pytest.mark.parametrize("password", ["plain", "with space", "påsswörd", ""])
@pytest.mark.parametrize("name", ["pubkey", "pubKey", None])
def test_keystore(tmp_path, key, password, name):
    path = tmp_path / "encrypted_private_key.json"
    ssv.write_operator_key(path, key, password, kdf=PBKDF2_INSECURE)
    assert path.stat().st_mode & 0o777 == 0o400
    document = json.loads(path.read_text())
    assert set(document) == {"checksum", "cipher", "kdf", "pubkey"}
    text = document.pop("pubkey")
    path.unlink()
    path.write_text(json.dumps(document | ({name: text} if name else {})))
    (tmp_path / "password").write_text(f"\t{password}\r\n")
    assert opens(key, ssv.read_operator_key(path, tmp_path / "password"))


def test_what_is_written_without_a_password(tmp_path, key):
    ssv.write_operator_key(tmp_path / "key", key)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o400
    assert opens(key, ssv.read_operator_key(tmp_path / "key"))


@pytest.fixture
def keystore(tmp_path, key):
    """A keystore that a test may change, and its password."""
    path = tmp_path / "written.json"
    ssv.write_operator_key(path, key, "right", kdf=PBKDF2_INSECURE)
    (tmp_path / "password").write_text("right")
    document = json.loads(path.read_text())

    def change(change=lambda document: None):
        change(document)
        changed = tmp_path / "changed.json"
        changed.write_text(json.dumps(document))
        return changed, tmp_path / "password"

    return change


def test_a_keystore_needs_its_password(keystore, tmp_path):
    path, password = keystore()
    with pytest.raises(KeystoreError, match="give the file of its password"):
        ssv.read_operator_key(path)
    password.write_text("wrong")
    with pytest.raises(KeystoreError, match="wrong password"):
        ssv.read_operator_key(path, password)
    with pytest.raises(KeystoreError, match="no such file"):
        ssv.read_operator_key(path, tmp_path / "missing")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d.pop("kdf"), "kdf: missing"),
        (lambda d: d["kdf"].update(function="argon2"), "kdf.function: expected scrypt"),
        (lambda d: d["cipher"].update(message=d["cipher"]["message"][:-2]), "wrong password"),
        (lambda d: d["checksum"].update(message="00"), "checksum.message: expected 32 bytes"),
        (
            lambda d: d.update(pubkey=ssv.generate_operator_key().public_key.text),
            "pubkey: not the public key",
        ),
        (lambda d: d.update(pubkey="nonsense"), "pubkey: expected base64 of an RSA key of 2048 bits"),
        (lambda d: d.update(pubKey=7, pubkey=None), "pubKey: expected a text"),
    ],
)
def test_a_wrong_keystore(keystore, change, complaint):
    path, password = keystore(change)
    with pytest.raises(KeystoreError, match=complaint) as caught:
        ssv.read_operator_key(path, password)
    assert caught.value.path == path


def other_key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "expected an RSA private key"),
        ("nonsense", "expected an RSA private key"),
        ("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----", "expected an RSA private key"),
        (base64.b64encode(b"\xff" * 100).decode(), "expected an RSA private key"),
        ("[1]", "expected an RSA private key"),
        ("{", "not JSON"),
        ("x" * 70_000, "at most"),
        (other_key_pem(ec.generate_private_key(ec.SECP256R1())), "an RSA key, got one of another kind"),
        (other_key_pem(rsa.generate_private_key(65537, 1024)), "2048 bits, got 1024"),
    ],
)
def test_no_key(tmp_path, content, complaint):
    (tmp_path / "key").write_text(content)
    with pytest.raises(KeystoreError, match=complaint) as caught:
        ssv.read_operator_key(tmp_path / "key")
    assert caught.value.path == tmp_path / "key"
    assert len(str(caught.value)) < 300


def test_a_pem_with_a_password_is_refused(tmp_path, key):
    private = serialization.load_pem_private_key(key.pem().encode(), None)
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        encryption = serialization.BestAvailableEncryption(b"password")
        content = private.private_bytes(serialization.Encoding.PEM, form, encryption)
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(KeystoreError, match="PEM without a password"):
            ssv.read_operator_key(tmp_path / "key")


def test_nothing_secret_is_shown(tmp_path, key):
    secret = serialization.load_pem_private_key(key.pem().encode(), None).private_numbers().d
    texts = [repr(key), str(key), f"{key}"]
    broken = key.pem().replace("A", "B")
    for content in (broken, base64.b64encode(broken.encode()).decode(), broken + "-"):
        (tmp_path / "key").write_text(content)
        with pytest.raises(KeystoreError) as caught:
            ssv.read_operator_key(tmp_path / "key")
        assert caught.value.__cause__ is None
        texts += [str(caught.value), repr(caught.value)]
    for text in texts:
        assert str(secret) not in text
        assert not any(line in text for line in broken.splitlines()[1:-1])


@pytest.mark.parametrize("text", ["", "nonsense", "LS0t", base64.b64encode(b"\xff").decode()])
def test_no_public_key(text):
    with pytest.raises(InputError, match="operator_key: expected base64"):
        ssv.OperatorPublicKey.from_text(text)


def test_public_keys_are_values(key):
    again = ssv.OperatorPublicKey.from_text(key.public_key.text)
    assert again == key.public_key
    assert hash(again) == hash(key.public_key)
    assert again != ssv.generate_operator_key().public_key
    assert key.public_key.text in repr(again)


def test_both_names_of_the_public_key(tmp_path):
    """StakeWise's sidecar knows the older one only."""
    key = ssv.generate_operator_key()
    ssv.write_operator_key(tmp_path / "key", key, "p", kdf=PBKDF2_INSECURE, older_name=True)
    document = json.loads((tmp_path / "key").read_text())
    assert document["pubKey"] == document["pubkey"] == key.public_key.text
    (tmp_path / "password").write_text("p")
    read = ssv.read_operator_key(tmp_path / "key", tmp_path / "password")
    assert read.public_key.text == key.public_key.text
