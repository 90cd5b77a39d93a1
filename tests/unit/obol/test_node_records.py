"""Node records with addresses, and the file of a node's key."""

import base64
import re

import pytest
from coincurve import PrivateKey
from hypothesis import given as drawn
from hypothesis import strategies as st

from dvtfast import FileError, InputError
from dvtfast.obol import KEY_FILE, NodeRecord, make_enr, read_enr, read_node_key, write_node_key
from dvtfast.secp256k1 import IdentityKey, recovered_signer

SECRET = b"\x07" * 32
PUBLIC_KEY = PrivateKey(SECRET).public_key.format()
# The example of EIP-778.
EXAMPLE = (
    "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0"
    "gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
)
EXAMPLE_SECRET = bytes.fromhex("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291")


def test_the_example_of_eip_778():
    found = read_enr(EXAMPLE)
    assert (found.sequence, found.ip, found.tcp, found.udp) == (1, "127.0.0.1", 0, 30303)
    assert found.public_key == PrivateKey(EXAMPLE_SECRET).public_key.format()
    made = make_enr(EXAMPLE_SECRET, sequence=1, ip="127.0.0.1", udp=30303)
    # Another signature is as good; the content is the same to the letter.
    assert decoded(made)[-80:] == decoded(EXAMPLE)[-80:]
    assert read_enr(made) == found


@drawn(
    st.integers(0, 2**64),
    st.one_of(st.just(""), st.ip_addresses(v=4).map(str)),
    st.integers(0, 65535),
    st.integers(0, 65535),
)
def test_what_is_made_is_read(sequence, ip, tcp, udp):
    record = make_enr(SECRET, sequence=sequence, ip=ip, tcp=tcp, udp=udp)
    assert read_enr(record) == NodeRecord(PUBLIC_KEY, sequence, ip, tcp, udp)
    assert read_enr(record + "==") == read_enr(record)


@pytest.mark.parametrize(
    "options", [{"ip": "::1"}, {"ip": "localhost"}, {"tcp": 65536}, {"udp": -1}, {"ip": "1.2.3"}]
)
def test_addresses_that_are_none(options):
    with pytest.raises(InputError, match="an IPv4 address, and ports"):
        make_enr(SECRET, **options)


@pytest.mark.parametrize(
    "content",
    [
        [b"", b"id", b"v4", b"secp256k1", PUBLIC_KEY, b"id", b"v4"],  # twice
        [b"", b"id", b"v4", b"secp256k1", PUBLIC_KEY, b"tcp"],
        [b"", b"id", b"v5", b"secp256k1", PUBLIC_KEY],
        [b"", b"secp256k1", PUBLIC_KEY],
        [b"", b"id", b"v4", b"ip", b"\x01" * 16, b"secp256k1", PUBLIC_KEY],
        [b"", b"id", b"v4", b"secp256k1", PUBLIC_KEY, b"tcp", b"\x01\x00\x00"],
        [b"", b"id", b"v4"],
        [b""],
        [],
    ],
)
def test_signed_content_that_is_no_record(content):
    with pytest.raises(InputError):
        read_enr(record_of(content))


def test_signed_content_that_is_one():
    """So that the others are refused for what is in them."""
    assert read_enr(record_of([b"", b"id", b"v4", b"secp256k1", PUBLIC_KEY])).public_key == PUBLIC_KEY


@drawn(st.data())
def test_no_letter_can_be_changed(data):
    record = make_enr(SECRET)
    place = data.draw(st.integers(0, len(record) - 1))
    letter = data.draw(st.characters(codec="utf-8").filter(lambda letter: letter != record[place]))
    changed = record[:place] + letter + record[place + 1 :]
    if place == len(record) - 1 and letter == "=":
        return
    with pytest.raises(InputError):
        read_enr(changed)


@drawn(st.binary(max_size=400))
def test_noise_is_no_record(noise):
    with pytest.raises(InputError):
        read_enr("enr:" + base64.urlsafe_b64encode(noise).decode().rstrip("="))


def record_of(content):
    from dvtfast._keccak import keccak256
    from dvtfast.obol.enr import _rlp_list, _rlp_text

    digest = keccak256(_rlp_list([_rlp_text(item) for item in content]))
    items = [_rlp_text(item) for item in (IdentityKey(SECRET).sign(digest)[:64], *content)]
    return "enr:" + base64.urlsafe_b64encode(_rlp_list(items)).decode().rstrip("=")


def decoded(record):
    text = record.removeprefix("enr:")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- keys ---


def test_a_signature_names_its_signer():
    digest = b"\x21" * 32
    signature = IdentityKey(SECRET).sign(digest)
    assert len(signature) == 65
    assert signature[64] in (0, 1)
    assert recovered_signer(digest, signature) == PUBLIC_KEY
    assert PrivateKey(SECRET).sign_recoverable(digest, hasher=None) == signature  # RFC 6979


def test_the_file_of_a_key(tmp_path):
    path = tmp_path / KEY_FILE
    write_node_key(path, SECRET)
    assert path.read_text() == "07" * 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_node_key(path) == SECRET
    with pytest.raises(FileError, match="is there already; a node keeps its key"):
        write_node_key(path, b"\x08" * 32)
    with pytest.raises(FileError, match="cannot be made: No such file or directory"):
        write_node_key(tmp_path / "none" / KEY_FILE, SECRET)


@pytest.mark.parametrize("text", [f"  {'07' * 32}\n", f"{'07' * 32}\r\n\r\n", f"0x{'07' * 32}"])
def test_a_key_with_white_space(text, tmp_path):
    path = tmp_path / KEY_FILE
    path.write_text(text)
    assert read_node_key(path) == SECRET


@pytest.mark.parametrize(
    "text",
    ["", "07" * 31, "07" * 33, "00" * 32, "f" * 64, "0 7" * 21 + "0", "zz" * 32, "07 " * 32, "x" * 1025],
)
def test_no_key(text, tmp_path):
    path = tmp_path / KEY_FILE
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read_node_key(path)
    assert re.search(r"expected (a secp256k1 key, 64 hex digits|at most 1024 bytes)$", str(caught.value))
    assert not text or text not in str(caught.value)
