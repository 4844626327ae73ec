"""Our SM2, SM3 and SM4 against OpenSSL's, and against rubbish."""

from __future__ import annotations

import copy
import hashlib
import hmac
import pickle
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paylake import crypto, sm2_openssl
from paylake.crypto import (
    HmacSm3,
    PrivateKey,
    PublicKey,
    Tokeniser,
    seal,
    sm3_hex,
    unseal,
    verify_hex,
)
from paylake.errors import NotVerified, PermanentFailure

DISTID = "distid:1234567812345678"
FIELD, ORDER = crypto._FIELD, crypto._ORDER
# GM/T 0003.5-2012, A.2, of the user id 1234567812345678
EXAMPLE = PrivateKey.from_secret("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
EXAMPLE_POINT = (
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
EXAMPLE_NONCE = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
EXAMPLE_DATA = b"message digest"
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA


def compute_with(way: str, monkeypatch) -> None:
    if way == "python":
        monkeypatch.setattr(sm2_openssl, "available", lambda: False)
    elif not sm2_openssl.available():
        pytest.skip("no libcrypto with SM2 here")


@pytest.fixture(params=["openssl", "python"])
def way(request, monkeypatch) -> str:
    """What computes SM2: each of the two that there are."""
    compute_with(request.param, monkeypatch)
    return request.param


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body


def integer(number: int) -> bytes:
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def der(r: int, s: int) -> bytes:
    return tlv(0x30, integer(r), integer(s))


def opposite(total: int) -> bytes:
    """r and s that lead a verifier of the example's key to the point at infinity."""
    s = -total * int(EXAMPLE.secret, 16) % ORDER
    return der((total - s) % ORDER, s)


GOOD = der(R, S)
MALFORMED = {
    "empty": b"",
    "cut": GOOD[:-1],
    "trailing byte": GOOD + b"\0",
    "trailing element": tlv(0x30, integer(R), integer(S), integer(1)),
    "one element": tlv(0x30, integer(R)),
    "a set": b"\x31" + GOOD[1:],
    "octet strings": tlv(0x30, b"\x04" + integer(R)[1:], b"\x04" + integer(S)[1:]),
    "long form of the length": b"\x30\x81" + GOOD[1:],
    "indefinite length": b"\x30\x80" + GOOD[2:] + b"\0\0",
    "zeros in front of r": tlv(0x30, tlv(2, b"\0" + integer(R)[2:]), integer(S)),
    "empty integer": tlv(0x30, tlv(2), integer(S)),
    "without the sign's zero": tlv(0x30, tlv(2, R.to_bytes(32, "big")), integer(S)),
    "negative": der(R - ORDER, S),
    "both negative": der(-R, -S),
    "r is 0": der(0, S),
    "s is 0": der(R, 0),
    "both 0": der(0, 0),
    "r is the order": der(ORDER, S),
    "s is the order": der(R, ORDER),
    "r past the order": der(R + ORDER, S),
    "s past the order": der(R, S + ORDER),
    "s of 100 bytes": der(R, S << 544),
    "r + s is the order": der(R, ORDER - R),
    "infinity": opposite(5),
    "infinity, odd": opposite(ORDER - 2),
    "swapped": der(S, R),
    "raw": R.to_bytes(32, "big") + S.to_bytes(32, "big"),
    "changed r": der(R ^ 1, S),
    "changed s": der(R, S ^ 1),
}


def openssl(*argv: str, cwd) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *argv], cwd=cwd, capture_output=True, text=True, check=False)


def test_sm3_standard_vector():
    # GB/T 32905 example 1
    assert sm3_hex(b"abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_the_standard_s_example_of_sm2(way, monkeypatch):
    assert EXAMPLE.public.point == EXAMPLE_POINT
    assert EXAMPLE.public.verify(EXAMPLE_DATA, GOOD)
    assert verify_hex(EXAMPLE_POINT, EXAMPLE_DATA, GOOD)
    assert verify_hex(EXAMPLE_POINT.upper(), EXAMPLE_DATA, GOOD)
    if way == "python":
        monkeypatch.setattr(crypto.secrets, "randbelow", lambda bound: EXAMPLE_NONCE - 1)
        assert EXAMPLE.sign(EXAMPLE_DATA) == GOOD


@pytest.mark.parametrize("data", [b"", b"\0", b"data", b"\0" * 3000])
def test_what_one_way_signs_the_other_verifies(data, monkeypatch):
    key = PrivateKey.generate()
    made = {}
    for way in ("openssl", "python"):
        with monkeypatch.context() as patch:
            compute_with(way, patch)
            made[way] = key.sign(data)
    for way in made:
        with monkeypatch.context() as patch:
            compute_with(way, patch)
            for signature in made.values():
                assert key.public.verify(data, signature) is True
                assert key.public.verify(data + b"\0", signature) is False
                assert EXAMPLE.public.verify(data, signature) is False


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_signature_is_refused(name, way):
    assert EXAMPLE.public.verify(EXAMPLE_DATA, MALFORMED[name]) is False
    assert verify_hex(EXAMPLE_POINT, EXAMPLE_DATA, MALFORMED[name]) is False


def test_a_key_that_is_no_point_of_the_curve_is_refused(way):
    x, y = EXAMPLE_POINT[:64], EXAMPLE_POINT[64:]
    y_of_7 = pow(7**3 + 7 * crypto._A + crypto._B, (FIELD + 1) // 4, FIELD)
    assert crypto.is_on_curve(f"{7:064x}{y_of_7:064x}")
    for point in (
        "", "00", "zz" * 64, EXAMPLE_POINT[:-1], EXAMPLE_POINT + "00", "04" + EXAMPLE_POINT,
        EXAMPLE_POINT[:-1] + "\n", EXAMPLE_POINT[:126] + "٣٣", f" {x}{y[:-1]}",
        "00" * 64, "ff" * 64, y + x, x + "00" * 32, f"{x}{int(y, 16) ^ 1:064x}",
        f"{FIELD + 7:064x}{y_of_7:064x}",  # the same number in the field
    ):
        assert verify_hex(point, EXAMPLE_DATA, GOOD) is False, point
        assert PublicKey(point).verify(EXAMPLE_DATA, GOOD) is False, point


@settings(max_examples=25, deadline=None)
@given(st.integers(0, len(GOOD) * 8 - 1), st.integers(0, 7))
def test_no_changed_bit_passes(place, also):
    changed = bytearray(GOOD)
    changed[place // 8] ^= 1 << place % 8
    changed[-1] ^= also & 6
    for way in ("openssl", "python"):
        with pytest.MonkeyPatch.context() as patch:
            compute_with(way, patch)
            assert EXAMPLE.public.verify(EXAMPLE_DATA, bytes(changed)) is False


def test_openssl_verifies_our_signature_and_we_verify_openssl_s(tmp_path, way):
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


def test_a_key_whose_x_begins_with_04_signs_and_verifies(way):
    # gmssl strips leading "04" digits from public keys: one key in 256 has them.
    secret = next(
        key
        for key in (PrivateKey.from_secret(f"{n:064x}") for n in range(1, 3000))
        if key.public.point.startswith("04")
    )
    signature = secret.sign(b"data")
    assert secret.public.verify(b"data", signature)
    assert not secret.public.verify(b"Data", signature)


def test_signatures_differ_each_time(way):
    key = PrivateKey.generate()
    assert key.sign(b"data") != key.sign(b"data")


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=80))
def test_rubbish_never_verifies_and_never_raises(rubbish):
    public = PrivateKey.from_secret(f"{7:064x}").public
    assert public.verify(b"data", rubbish) is False


def test_a_key_that_has_signed_can_be_copied():
    EXAMPLE.sign(b"data")
    for other in (pickle.loads(pickle.dumps(EXAMPLE)), copy.deepcopy(EXAMPLE)):
        assert other == EXAMPLE
        assert EXAMPLE.public.verify(b"data", other.sign(b"data"))


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


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(min_size=1, max_size=100))
def test_a_prepared_key_gives_the_same_codes(prefix, message, key):
    """Also of a key that is longer than a block, and again with the same object."""
    keyed = HmacSm3(key, prefix)
    for said in (message, b"", message):
        expected = hmac.new(key, prefix + said, lambda: hashlib.new("sm3")).digest()
        assert keyed.digest(said) == expected


def test_tokens_keep_none():
    assert Tokeniser(b"key", "t1").tokens([None, "a"])[0] is None
