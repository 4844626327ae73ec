"""The bytes of the chain, written down by hand: whoever re-writes the code keeps them."""

from __future__ import annotations

import hashlib

import pytest

from ledger.canonical import canonical
from ledger.domain.chain import GENESIS, entry_digest

ROW = (
    1, 1, "top_up", 4, "posted", "K1", "T1", "system:switch", "", "2026-09-12T02:00:00Z",
    "2026-09-12", "2026-09-12", '{"amount_minor":5}', "[]", "[]", "",
)
#: The pieces of that entry after the digest before it, each as length, colon, UTF-8 bytes.
BYTES = (
    b"1:11:16:top_up1:46:posted2:K12:T113:system:switch0:20:2026-09-12T02:00:00Z"
    b'10:2026-09-1210:2026-09-1218:{"amount_minor":5}2:[]2:[]0:'
)


def sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


def test_the_first_digest_before():
    assert sm3(b"16:paylake-ledger/27:genesis") == GENESIS
    assert GENESIS.hex() == "c297aa5168447f31f33553c7e5de887066d3cd8dc7fed03a4c4485e2a153a67d"


def test_the_bytes_of_an_entry():
    before = b"16:paylake-ledger/264:" + GENESIS.hex().encode()
    assert entry_digest(GENESIS, ROW) == sm3(before + BYTES)
    assert entry_digest(GENESIS, ROW).hex() == (
        "b46f4ee2a4e9d7b6799e250df8d1de5fc99127c715e0d8d7f43eadaf26596965"
    )


def test_lengths_count_bytes_and_absent_pieces_are_empty():
    row = (2, None, *ROW[2:12], '{"note":"备付金"}', *ROW[13:])
    changed = BYTES.replace(b"1:11:16:top_up", b"1:20:6:top_up").replace(
        b'18:{"amount_minor":5}', b"20:" + '{"note":"备付金"}'.encode()
    )
    before = b"16:paylake-ledger/264:" + GENESIS.hex().encode()
    assert entry_digest(GENESIS, row) == sm3(before + changed)


@pytest.mark.parametrize("other", [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"), ("abc",)])
def test_no_two_lists_of_pieces_give_the_same_bytes(other):
    assert canonical(["a", "b", "c"]) != canonical(list(other))
