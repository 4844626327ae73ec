"""SM2 encryption: the standard's example, both ways of computing it, OpenSSL's own command."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paylake import sm2_cipher
from paylake.crypto import PrivateKey, PublicKey
from paylake.errors import NotVerified
from paylake.sm2_cipher import MOST_BYTES, decrypt, encrypt
from tests.paylake.test_crypto import EXAMPLE, EXAMPLE_NONCE, compute_with, way

__all__ = ["way"]

# GM/T 0003.5-2012, C.2
PLAIN = b"encryption standard"
SEALED = bytes.fromhex(
    "307c022004ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
    "022100e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"
    "042059983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"
    "041321886ca989ca9c7d58087307ca93092d651efa"
)


def test_the_standard_s_example(way, monkeypatch):
    assert decrypt(EXAMPLE, SEALED) == PLAIN
    if way == "python":  # OpenSSL takes no nonce from us
        monkeypatch.setattr(sm2_cipher.secrets, "randbelow", lambda bound: EXAMPLE_NONCE - 1)
        assert encrypt(EXAMPLE.public, PLAIN) == SEALED


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_what_one_way_encrypts_the_other_opens(plain):
    key = PrivateKey.generate()
    for first, second in (("openssl", "python"), ("python", "openssl")):
        with pytest.MonkeyPatch.context() as patch:
            compute_with(first, patch)
            sealed = encrypt(key.public, plain)
        with pytest.MonkeyPatch.context() as patch:
            compute_with(second, patch)
            assert decrypt(key, sealed) == plain


def test_openssl_s_command_opens_it_and_is_opened(way, tmp_path):
    key = PrivateKey.generate()
    (tmp_path / "key.pem").write_text(key.pem())
    (tmp_path / "pub.pem").write_text(key.public.pem())
    (tmp_path / "sealed").write_bytes(encrypt(key.public, PLAIN))
    run = ["openssl", "pkeyutl", "-inkey", str(tmp_path / "key.pem")]
    done = subprocess.run([*run, "-decrypt", "-in", str(tmp_path / "sealed")],
                          capture_output=True, check=True)
    assert done.stdout == PLAIN
    theirs = subprocess.run(
        ["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", str(tmp_path / "pub.pem")],
        input=PLAIN, capture_output=True, check=True,
    ).stdout
    assert decrypt(key, theirs) == PLAIN


def test_another_key_and_any_changed_byte_are_refused(way):
    with pytest.raises(NotVerified):
        decrypt(PrivateKey.generate(), SEALED)
    for place in range(0, len(SEALED), 1 if way == "openssl" else 9):
        changed = bytearray(SEALED)
        changed[place] ^= 1
        with pytest.raises(NotVerified):
            decrypt(EXAMPLE, bytes(changed))


@pytest.mark.parametrize("sealed", [
    b"", b"0", SEALED[:-1], SEALED + b"\0", b"0\x80" + SEALED[2:], b"0\x06" + b"\x02\x01\x01" * 2,
    b"0\x00",
])
def test_what_is_no_ciphertext_is_refused(sealed):
    with pytest.raises(NotVerified, match="no ciphertext"):
        decrypt(EXAMPLE, sealed)


@pytest.mark.parametrize("plain", [b"", b"x" * (MOST_BYTES + 1)])
def test_nothing_and_too_much_are_not_encrypted(plain):
    with pytest.raises(ValueError, match="can be encrypted"):
        encrypt(EXAMPLE.public, plain)


@pytest.mark.parametrize("point", ["00" * 64, "11" * 64, "zz", "ff" * 64])
def test_no_key_off_the_curve(point):
    with pytest.raises(ValueError, match="not a point"):
        encrypt(PublicKey(point), PLAIN)
