"""The head of an answer goes out with its body, and never waits for it longer than a moment."""

from __future__ import annotations

import asyncio

import pytest

from ledger.entrypoints.one_write import OneWrite

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Sent:
    """A transport that keeps what it is told to send, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 17


@pytest.fixture
def told():
    """What was sent after a sequence of calls within one turn of the event loop, and after it."""

    def told(*calls: bytes | str) -> tuple[list[bytes], list[bytes], Sent]:
        sent = Sent()

        async def go() -> list[bytes]:
            transport = OneWrite(sent, asyncio.get_running_loop())
            for call in calls:
                transport.close() if call == "close" else transport.write(call)
            at_once = list(sent.pieces)
            await asyncio.sleep(0)
            return at_once

        return asyncio.run(go()), sent.pieces, sent

    return told


def test_head_and_body_are_one_piece(told):
    at_once, in_all, _ = told(HEAD, b"{}")
    assert at_once == in_all == [HEAD + b"{}"]


def test_each_of_two_answers_is_one_piece(told):
    assert told(HEAD, b"{}", HEAD, b"[]")[1] == [HEAD + b"{}", HEAD + b"[]"]


def test_a_head_alone_goes_out_in_the_next_moment(told):
    at_once, in_all, _ = told(HEAD)
    assert not at_once and in_all == [HEAD]


def test_what_is_no_head_goes_out_at_once(told):
    for data in (b"{}", b"2\r\n{}\r\n", b"0\r\n\r\n", b"HTTP/1.1 408 Request Timeout\r\n\r\n{}"):
        assert told(data)[0] == [data]


def test_a_body_that_looks_like_a_head_stays_in_its_place(told):
    assert b"".join(told(HEAD, HEAD, HEAD, b"{}")[1]) == HEAD * 3 + b"{}"


def test_pieces_stay_behind_the_head():
    sent = Sent()

    async def go() -> None:
        transport = OneWrite(sent, asyncio.get_running_loop())
        transport.write(HEAD)
        transport.writelines([b"{", b"}"])

    asyncio.run(go())
    assert sent.pieces == [HEAD + b"{}"]


def test_a_head_is_sent_before_the_connection_is_closed(told):
    at_once, _, sent = told(HEAD, "close")
    assert at_once == [HEAD] and sent.closed


def test_whatever_else_is_asked_is_asked_of_the_transport_within():
    sent = Sent()
    assert OneWrite(sent, None).get_write_buffer_size() == 17
