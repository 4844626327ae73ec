"""SM2 over libcrypto: the binding itself. What it computes, `test_crypto.py` compares."""

from __future__ import annotations

import _ctypes
import ctypes.util
import gc
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest

from paylake import crypto, sm2_openssl
from paylake.crypto import PrivateKey

KEY = PrivateKey.from_secret(f"{0xC0FFEE:064x}")


@pytest.fixture
def fresh():
    """The library is looked for anew, before and after."""
    sm2_openssl._library.cache_clear()
    yield
    sm2_openssl._library.cache_clear()


def test_openssl_has_sm2_here_and_it_is_used():
    # Some distributions leave it out. The program then computes in Python; what this file tests
    # cannot be tested there, and says so by failing.
    assert sm2_openssl.available(), "Python's OpenSSL has no SM2: use a build that has"


def test_the_library_is_the_one_of_the_interpreter():
    assert sm2_openssl._library().version == ssl.OPENSSL_VERSION_NUMBER


@pytest.mark.parametrize("name", ["libpaylake-absent.so", __file__, _ctypes.__file__])
def test_what_is_no_libcrypto_is_not_taken(name):
    assert sm2_openssl._open(name) is None


def test_the_system_s_library_serves_too():
    name = ctypes.util.find_library("crypto")
    if not name:
        pytest.skip("the system has no libcrypto")
    library = sm2_openssl._open(name)
    assert library is None or library.version >= sm2_openssl._OLDEST


@pytest.mark.parametrize("change", ["none is found", "it is too old", "it computes wrongly"])
def test_without_a_usable_library_python_computes(change, fresh, monkeypatch):
    if change == "none is found":
        monkeypatch.setattr(sm2_openssl, "_names", lambda: iter(["libpaylake-absent.so"]))
    elif change == "it is too old":
        monkeypatch.setattr(sm2_openssl, "_OLDEST", 1 << 62)
    else:
        monkeypatch.setattr(sm2_openssl, "_EXAMPLE_MESSAGE", b"another")
    assert not sm2_openssl.available()
    assert sm2_openssl.load_private(KEY.der()) is None
    assert sm2_openssl.load_public(KEY.public.der()) is None
    assert KEY.public.verify(b"data", KEY.sign(b"data"))


@pytest.mark.parametrize("answer", [-1, -2])
def test_when_openssl_fails_python_computes(answer, monkeypatch):
    for name in ("EVP_DigestSign", "EVP_DigestVerify"):
        monkeypatch.setattr(sm2_openssl._library(), name, lambda *arguments: answer)
    signature = KEY.sign(b"data")
    assert KEY.public.verify(b"data", signature)
    assert not KEY.public.verify(b"Data", signature)


@pytest.mark.parametrize("name", ["EVP_PKEY_CTX_new", "EVP_MD_CTX_new"])
def test_when_openssl_has_no_memory_python_computes(name, monkeypatch):
    monkeypatch.setattr(sm2_openssl._library(), name, lambda *arguments: None)
    assert KEY.public.verify(b"data", KEY.sign(b"data"))


def test_a_key_that_is_none_is_not_loaded_and_leaves_no_error_behind():
    good = KEY.public.der()
    p_256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + good[26:]
    for der in (b"", b"rubbish", good[:-1], good[:-1] + bytes([good[-1] ^ 1]), p_256, KEY.der()):
        assert sm2_openssl.load_public(der) is None
    for der in (b"", KEY.der()[:-1], KEY.der()[:-1] + bytes([KEY.der()[-1] ^ 1]), good):
        assert sm2_openssl.load_private(der) is None
    public = sm2_openssl.load_public(good)
    assert not public.verify(b"data", b"rubbish")
    assert last_error() == 0


def last_error() -> int:
    peek = ctypes.PyDLL(sm2_openssl._library().name).ERR_peek_error
    peek.restype = ctypes.c_ulong
    return peek()


def test_a_key_is_freed_with_its_object():
    library, freed = sm2_openssl._library(), []
    key = sm2_openssl.VerifyingKey(library, library.parse(library.d2i_PUBKEY, KEY.public.der()))
    pointer = key._key
    other = type("Library", (), {"EVP_PKEY_free": staticmethod(freed.append)})()
    sm2_openssl._Key(other, pointer)
    gc.collect()
    assert freed == [pointer]


def test_buffers_other_than_bytes_are_data_too():
    signature = KEY.sign(bytearray(b"data"))
    assert KEY.public.verify(memoryview(b"data"), signature)
    for wrong in (7, "data", None):
        with pytest.raises(TypeError):
            KEY.sign(wrong)


def test_threads_sign_and_verify_with_one_key():
    crypto._loaded_public.cache_clear()
    key = PrivateKey.generate()
    rounds = 200 if sm2_openssl.available() else 5

    def work(thread: int) -> int:
        good = 0
        for number in range(rounds):
            data = f"{thread} {number}".encode()
            signature = key.sign(data)
            good += key.public.verify(data, signature)
            good -= key.public.verify(data + b"!", signature) if number % 20 == 0 else 0
        return good

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [rounds] * 8


def test_loaded_keys_are_bounded():
    assert crypto._loaded_public.cache_info().maxsize == crypto._KEYS_KEPT


def test_the_public_half_is_the_one_that_python_computes(monkeypatch):
    order = crypto._ORDER
    # Among the first hundred are points with leading zeros; the ends of the range are edges.
    secrets = [f"{n:064x}" for n in (*range(1, 400, 4), order - 2, order - 1)]
    by_openssl = [PrivateKey.from_secret(secret).public.point for secret in secrets]
    assert all(sm2_openssl.public_of(bytes.fromhex(secret)) for secret in secrets)
    monkeypatch.setattr(sm2_openssl, "public_of", lambda _: None)
    assert by_openssl == [PrivateKey.from_secret(secret).public.point for secret in secrets]


@pytest.mark.parametrize("secret", [b"", b"\x00" * 32, b"\xff" * 31])
def test_a_secret_that_is_none_has_no_public_half_and_leaves_no_error_behind(secret):
    assert sm2_openssl.public_of(secret) is None
    assert last_error() == 0
