"""Noise XX: the figures of two other implementations, a third one beside it, and every way to disturb it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dvtfast.services.p2p.errors import HandshakeError
from dvtfast.services.p2p.layers.noise import CipherState, Handshake
from tests.vector_files import cases, load, unhex

LOW_ORDER = (  # points with which every secret key has the same shared secret: zero
    bytes(32),
    b"\x01" + bytes(31),
    unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    unhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    unhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
)


def key(text):
    return X25519PrivateKey.from_private_bytes(unhex(text))


def complete():
    """Both sides after a handshake with new keys."""
    dialer, listener = Handshake(initiator=True), Handshake(initiator=False)
    listener.read(dialer.write())
    dialer.read(listener.write())
    listener.read(dialer.write())
    return dialer, listener


@pytest.mark.parametrize("vector", cases(load("noise_xx.json").items(), lambda item: item[0]))
def test_known_answers(vector):
    vector = vector[1]
    sides = [
        Handshake(
            initiator=who == "init",
            static=key(vector[f"{who}_static"]),
            ephemeral=key(vector[f"{who}_ephemeral"]),
            prologue=unhex(vector[f"{who}_prologue"]),
        )
        for who in ("init", "resp")
    ]
    for number, message in enumerate(vector["messages"][:3]):
        writer, reader = sides[number % 2], sides[1 - number % 2]
        written = writer.write(unhex(message["payload"]))
        assert written == unhex(message["ciphertext"])
        assert reader.read(written) == unhex(message["payload"])
    assert sides[0].is_complete
    assert sides[0].hash == sides[1].hash
    assert sides[0].remote_static == sides[1].static_public
    if "handshake_hash" in vector:
        assert sides[0].hash == unhex(vector["handshake_hash"])
    ciphers = [side.split() for side in sides]
    for number, message in enumerate(vector["messages"][3:], 3):
        sending, receiving = ciphers[number % 2][0], ciphers[1 - number % 2][1]
        ciphertext = sending.encrypt(unhex(message["payload"]))
        assert ciphertext == unhex(message["ciphertext"])
        assert receiving.decrypt(ciphertext) == unhex(message["payload"])


def shake_hands(disturb):
    """A handshake whose messages pass through `disturb(turn, message)`."""
    dialer, listener = Handshake(initiator=True), Handshake(initiator=False)
    for turn in range(3):
        writer, reader = (dialer, listener) if turn % 2 == 0 else (listener, dialer)
        reader.read(disturb(turn, writer.write()))


@pytest.mark.parametrize(("turn", "size"), [(0, 32), (1, 96), (2, 64)])
def test_no_bit_of_a_handshake_can_be_changed(turn, size):
    """What the first message says is not protected by itself; the second one does not verify then."""

    def change(at, place):
        def disturb(now, message):
            assert now != turn or len(message) == size
            return bytes(b ^ 0x40 * (now == at and i == place) for i, b in enumerate(message))

        return disturb

    shake_hands(change(-1, 0))
    for place in range(size):
        with pytest.raises(HandshakeError):
            shake_hands(change(turn, place))


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("missing", [1, 16, 17, 31])
def test_no_handshake_can_be_cut_short(turn, missing):
    with pytest.raises(HandshakeError):
        shake_hands(lambda now, message: message[:-missing] if now == turn else message)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_keys_that_are_no_keys(point):
    listener = Handshake(initiator=False)
    listener.read(point)
    with pytest.raises(HandshakeError, match="no key"):
        listener.write()


def test_other_prologues_do_not_agree():
    dialer, listener = Handshake(initiator=True, prologue=b"a"), Handshake(initiator=False, prologue=b"b")
    listener.read(dialer.write())
    with pytest.raises(HandshakeError):
        dialer.read(listener.write())


def test_messages_come_once_and_in_order():
    dialer, listener = complete()
    sending, receiving = dialer.split()[0], listener.split()[1]
    first, second = sending.encrypt(b"first"), sending.encrypt(b"second")
    with pytest.raises(HandshakeError):
        receiving.decrypt(second)
    dialer, listener = complete()
    sending, receiving = dialer.split()[0], listener.split()[1]
    first = sending.encrypt(b"first")
    assert receiving.decrypt(first) == b"first"
    with pytest.raises(HandshakeError):
        receiving.decrypt(first)


def test_the_directions_have_their_own_keys():
    dialer, listener = complete()
    with pytest.raises(HandshakeError):
        dialer.split()[1].decrypt(dialer.split()[0].encrypt(b"to myself"))
    assert listener.split()[0].encrypt(b"x") != dialer.split()[0].encrypt(b"x")


def test_numbers_end():
    cipher = CipherState(bytes(32))
    cipher._nonce = 2**64 - 2
    cipher.encrypt(b"the last")
    with pytest.raises(HandshakeError, match="number"):
        cipher.encrypt(b"one too many")


def test_new_keys_each_time():
    assert len({complete()[0].hash for _ in range(5)}) == 5
