"""Our SM2, SM3 and SM4 against OpenSSL's, and against rubbish."""

from __future__ import annotations

import hashlib
import hmac
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paylake.crypto import PrivateKey, PublicKey, Tokeniser, seal, sm3_hex, unseal
from paylake.errors import NotVerified, PermanentFailure

DISTID = "distid:1234567812345678"


def openssl(*argv: str, cwd) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *argv], cwd=cwd, capture_output=True, text=True, check=False)


def test_sm3_standard_vector():
    # GB/T 32905 example 1
    assert sm3_hex(b"abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_openssl_verifies_our_signature_and_we_verify_openssl_s(tmp_path):
    for number in range(3):
        key = PrivateKey.generate()
        data = f"delivery {number}".encode()
        (tmp_path / "key.pem").write_text(key.pem())
        (tmp_path / "pub.pem").write_text(key.public.pem())
        (tmp_path / "data").write_bytes(data)
        (tmp_path / "ours").write_bytes(key.sign(data))
        verified = openssl(
            "pkeyutl", "-verify", "-pubin", "-inkey", "pub.pem", "-in", "data", "-rawin",
            "-digest", "sm3", "-sigfile", "ours", "-pkeyopt", DISTID, cwd=tmp_path,
        )
        assert "Verified Successfully" in verified.stdout, verified.stderr
        openssl(
            "pkeyutl", "-sign", "-inkey", "key.pem", "-in", "data", "-rawin", "-digest", "sm3",
            "-out", "theirs", "-pkeyopt", DISTID, cwd=tmp_path,
        )
        assert key.public.verify(data, (tmp_path / "theirs").read_bytes())
        derived = openssl("pkey", "-in", "key.pem", "-pubout", cwd=tmp_path)
        assert derived.stdout == key.public.pem()


def test_a_key_whose_x_begins_with_04_signs_and_verifies():
    # gmssl strips leading "04" digits from public keys: one key in 256 has them.
    secret = next(
        key
        for key in (PrivateKey.from_secret(f"{n:064x}") for n in range(1, 3000))
        if key.public.point.startswith("04")
    )
    signature = secret.sign(b"data")
    assert secret.public.verify(b"data", signature)
    assert not secret.public.verify(b"Data", signature)


def test_signatures_differ_each_time():
    key = PrivateKey.generate()
    assert key.sign(b"data") != key.sign(b"data")


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=80))
def test_rubbish_never_verifies_and_never_raises(rubbish):
    public = PrivateKey.from_secret(f"{7:064x}").public
    assert public.verify(b"data", rubbish) is False


def test_damaged_key_files_are_named(tmp_path):
    path = tmp_path / "key.pem"
    for text in ("", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        path.write_text(text)
        with pytest.raises(PermanentFailure) as caught:
            PublicKey.load(path)
        assert str(path) in caught.value.sentence()
    with pytest.raises(PermanentFailure):
        PublicKey.load(tmp_path / "absent.pem")


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=20))
def test_what_is_sealed_opens_only_in_its_place(plain, context):
    key = b"0123456789abcdef"
    sealed = seal(key, plain, context)
    assert unseal(key, sealed, context) == plain
    with pytest.raises(NotVerified):
        unseal(key, sealed, context + b"!")
    with pytest.raises(NotVerified):
        unseal(key, sealed[:-1] + bytes([sealed[-1] ^ 1]), context)
    with pytest.raises(NotVerified):
        unseal(b"0123456789abcdeF", sealed, context)


def test_the_same_value_seals_differently():
    assert seal(b"k" * 16, b"value", b"") != seal(b"k" * 16, b"value", b"")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40), st.binary(min_size=1, max_size=100))
def test_tokens_are_hmac_sm3(value, key):
    expected = hmac.new(key, value.encode(), lambda: hashlib.new("sm3")).hexdigest()[:40]
    assert Tokeniser(key, "t1").token(value) == f"t1_{expected}"


def test_tokens_keep_none():
    assert Tokeniser(b"key", "t1").tokens([None, "a"])[0] is None
