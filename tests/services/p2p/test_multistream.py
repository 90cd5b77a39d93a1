"""Agreement on a protocol: as it is written, in any pieces, and with whoever does not play along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.services.p2p.errors import UnsupportedProtocolError, WireError
from dvtfast.services.p2p.layers import multistream
from dvtfast.services.p2p.layers.multistream import HEADER, REFUSED, Dialer, Listener, proposal, token

NOISE = b"\x13/multistream/1.0.0\n\x07/noise\n"


def pieces_of(data, sizes):
    """The data cut in pieces of these sizes, and the rest."""
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


def test_known_answer():
    assert proposal("/noise") == NOISE
    assert REFUSED == b"\x03na\n"
    assert len(token("x" * 127)) == 130


@given(st.lists(st.integers(0, 9), max_size=20), st.binary(max_size=20))
def test_both_sides_agree_in_any_pieces(sizes, behind):
    listener, dialer = Listener({"/noise", "/other"}), Dialer("/noise")
    answer = b"".join(listener.receive(piece) for piece in pieces_of(NOISE + behind, sizes))
    assert (answer, listener.protocol, listener.rest) == (NOISE, "/noise", behind)
    for piece in pieces_of(answer + behind, sizes):
        dialer.receive(piece)
    assert (dialer.accepted, dialer.rest) == (True, behind)


def test_a_second_proposal():
    """As charon dials: TLS first."""
    listener = Listener(("/noise",))
    assert listener.receive(proposal("/tls/1.0.0")) == HEADER + REFUSED
    assert listener.receive(token("/noise") + b"data") == token("/noise")
    assert listener.rest == b"data"


def test_a_refusal():
    with pytest.raises(UnsupportedProtocolError):
        Dialer("/noise").receive(HEADER + REFUSED)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x05hello",
        b"\xff\xff\xff",
        b"\x81\x08" + b"x" * 1025,
        token("/multistream/2.0.0"),
        b"GET / HTTP/1.1\r\n\r\n" + bytes(60),
        HEADER + b"".join(token(f"/{i}") for i in range(multistream.MOST_PROPOSALS)),
    ],
)
def test_what_is_no_multistream(data):
    with pytest.raises(WireError):
        Listener(("/noise",)).receive(data)


@pytest.mark.parametrize("data", [REFUSED, token("/noise"), HEADER + token("/other"), HEADER + HEADER])
def test_a_listener_that_makes_no_sense(data):
    with pytest.raises(WireError):
        Dialer("/noise").receive(data)


@given(st.binary(max_size=200))
def test_any_bytes(data):
    for side in (Listener(("/noise",)), Dialer("/noise")):
        try:
            side.receive(data)
        except (WireError, UnsupportedProtocolError):
            continue
        assert len(side.rest) <= len(data)
