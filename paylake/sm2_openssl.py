"""SM2 over the OpenSSL that Python itself runs on: signatures and encryption, by EVP functions.

`cryptography` brings an OpenSSL of its own and has no SM2; libcrypto (1.1.1 and later) has, and
signs and verifies some fifty times faster than gmssl. The sequence of calls is that of
EVP_PKEY-SM2(7); functions of the EVP layer alone are used, so one binding serves 1.1.1 and 3.x.
Signatures follow GM/T 0009 as in `paylake.crypto`, which is what other modules call.

A library counts only after it has reproduced the example of GM/T 0003.5 here. Without one,
`available` is False and `paylake.crypto` computes in Python; the same holds for a key that
OpenSSL does not take and for a call that it does not finish: those give None, never an error.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import importlib
import weakref
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p
from functools import lru_cache
from typing import Any

_USER_ID = b"1234567812345678"
_OLDEST = 0x10101000  # OpenSSL 1.1.1, the first with SM2
_OPENSSL_3 = 0x30000000
# Of 1.1.1, where they are macros of <openssl/ec.h> and <openssl/evp.h>, not functions.
_EVP_PKEY_SM2 = 1172
_EVP_PKEY_CTRL_SET1_ID = 0x1000 + 11
_SIGNATURE_ROOM = 128  # a DER signature has 72 bytes at most
_CIPHER_ROOM = 128  # what the ciphertext has beside as many bytes as were given
_PUBLIC_LENGTH = 91  # of the SubjectPublicKeyInfo of a point on this curve
#: PKCS#8 of a key without its public half, up to the 32 bytes of the secret.
_SECRET_ALONE = bytes.fromhex(
    "3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420"
)

_PARSE = (c_void_p, [c_void_p, POINTER(c_char_p), c_long])
_START = (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p])
_ONE_POINTER = [c_void_p]

#: name -> (type of the result, types of the arguments), as in <openssl/evp.h> and its fellows
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "OpenSSL_version_num": (c_ulong, []),
    "ERR_clear_error": (None, []),
    "d2i_PUBKEY": _PARSE,
    "d2i_AutoPrivateKey": _PARSE,
    "i2d_PUBKEY": (c_int, [c_void_p, POINTER(c_char_p)]),
    "EVP_PKEY_free": (None, _ONE_POINTER),
    "EVP_PKEY_CTX_new": (c_void_p, [c_void_p, c_void_p]),
    "EVP_PKEY_CTX_free": (None, _ONE_POINTER),
    "EVP_MD_CTX_new": (c_void_p, []),
    "EVP_MD_CTX_free": (None, _ONE_POINTER),
    "EVP_MD_CTX_set_pkey_ctx": (None, [c_void_p, c_void_p]),
    "EVP_sm3": (c_void_p, []),
    "EVP_DigestSignInit": _START,
    "EVP_DigestVerifyInit": _START,
    "EVP_PKEY_encrypt_init": (c_int, _ONE_POINTER),
    "EVP_PKEY_decrypt_init": (c_int, _ONE_POINTER),
}
_FUNCTIONS_3 = {"EVP_PKEY_CTX_set1_id": (c_int, [c_void_p, c_char_p, c_int])}
_FUNCTIONS_1 = {
    "EVP_PKEY_CTX_ctrl": (c_int, [c_void_p, c_int, c_int, c_int, c_int, c_char_p]),
    "EVP_PKEY_set_alias_type": (c_int, [c_void_p, c_int]),
}
_LONG_FUNCTIONS = {
    "EVP_DigestSign": (c_int, [c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t]),
    "EVP_DigestVerify": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    "EVP_PKEY_encrypt": (c_int, [c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t]),
    "EVP_PKEY_decrypt": (c_int, [c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t]),
}

# GM/T 0003.5-2012, A.2: the key (SubjectPublicKeyInfo and PKCS#8) and the signature of the
# message, in DER.
_EXAMPLE_POINT = (
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_EXAMPLE_PUBLIC = bytes.fromhex(
    "3059301306072a8648ce3d020106082a811ccf5501822d034200" + _EXAMPLE_POINT
)
_EXAMPLE_PRIVATE = bytes.fromhex(
    "308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420"
    "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8a144034200" + _EXAMPLE_POINT
)
_EXAMPLE_MESSAGE = b"message digest"
_EXAMPLE_SIGNATURE = bytes.fromhex(
    "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)


class _Library:
    """libcrypto with its functions declared.

    :raises OSError: when `name` cannot be loaded.
    :raises AttributeError: when a function is not there: another library, or one too old.
    """

    def __init__(self, name: str | None) -> None:
        self.name = name
        # PyDLL keeps the interpreter's lock: short calls that let it go would wait to get it back,
        # 5 ms each beside a busy thread. CDLL lets it go, for the calls that compute on the curve.
        self._declare(ctypes.PyDLL(name), _FUNCTIONS)
        self._declare(ctypes.CDLL(name), _LONG_FUNCTIONS)
        self.version: int = self.OpenSSL_version_num()
        self.is_3 = self.version >= _OPENSSL_3
        self._declare(ctypes.PyDLL(name), _FUNCTIONS_3 if self.is_3 else _FUNCTIONS_1)
        self.sm3 = self.EVP_sm3()

    def _declare(self, library: ctypes.CDLL, functions: dict[str, tuple[Any, list[Any]]]) -> None:
        for name, (result, arguments) in functions.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def parse(self, parser: Callable[..., int | None], der: bytes) -> int | None:
        """The EVP_PKEY in `der`, for the caller to free; None when OpenSSL finds no key in it.

        3.x reads keys on other curves too; `paylake.crypto` gives it none.
        """
        start = c_char_p(der)
        key = parser(None, byref(start), len(der))
        # 1.1.1 reads every key on a curve as one for ECDSA until it is told otherwise.
        if key and not self.is_3 and self.EVP_PKEY_set_alias_type(key, _EVP_PKEY_SM2) != 1:
            self.EVP_PKEY_free(key)
            key = None
        self.ERR_clear_error()
        return key

    def set_user_id(self, operation: int) -> bool:
        if self.is_3:
            return self.EVP_PKEY_CTX_set1_id(operation, _USER_ID, len(_USER_ID)) > 0
        done = self.EVP_PKEY_CTX_ctrl(
            operation, -1, -1, _EVP_PKEY_CTRL_SET1_ID, len(_USER_ID), _USER_ID
        )
        return done > 0


class _Key:
    """An EVP_PKEY, freed with this object. Any number of threads may use it at once."""

    def __init__(self, library: _Library, key: int) -> None:
        self._library = library
        self._key = key
        # Not at exit: a daemon thread may still be using the key, and the process ends anyway.
        weakref.finalize(self, library.EVP_PKEY_free, key).atexit = False

    def _in_context(self, start: Callable[..., int], work: Callable[[int], int]) -> int:
        """The result of `work` in a context of this call alone; -1 when none can be made."""
        library = self._library
        operation = library.EVP_PKEY_CTX_new(self._key, None)
        context = library.EVP_MD_CTX_new()
        try:
            if not operation or not context or not library.set_user_id(operation):
                return -1
            library.EVP_MD_CTX_set_pkey_ctx(context, operation)
            if start(context, None, library.sm3, None, self._key) != 1:
                return -1
            return work(context)
        finally:
            library.EVP_MD_CTX_free(context)  # first: it points to the other, and does not own it
            library.EVP_PKEY_CTX_free(operation)
            library.ERR_clear_error()  # `ssl` reads the errors of the same thread


    def _transformed(
        self, start: Callable[..., int], work: Callable[..., int], data: bytes, room: int
    ) -> bytes | None:
        """What `work` (encrypt or decrypt, the digest being SM3) makes of `data`."""
        library = self._library
        operation = library.EVP_PKEY_CTX_new(self._key, None)
        try:
            if not operation or start(operation) != 1:
                return None
            made, length = ctypes.create_string_buffer(room), c_size_t(room)
            if work(operation, made, byref(length), data, len(data)) != 1:
                return None
            return made.raw[: length.value]
        finally:
            library.EVP_PKEY_CTX_free(operation)
            library.ERR_clear_error()


class SigningKey(_Key):
    """A private key, loaded. Made by `load_private`."""

    def sign(self, data: bytes) -> bytes | None:
        """DER signature of `data`, the nonce being OpenSSL's; None when OpenSSL fails."""
        library, message = self._library, _bytes(data)
        signature = ctypes.create_string_buffer(_SIGNATURE_ROOM)
        length = c_size_t(_SIGNATURE_ROOM)
        done = self._in_context(
            library.EVP_DigestSignInit,
            lambda context: library.EVP_DigestSign(
                context, signature, byref(length), message, len(message)
            ),
        )
        return signature.raw[: length.value] if done == 1 else None

    def decrypt(self, sealed: bytes, length: int) -> bytes | None:
        """What was encrypted for this key; None when OpenSSL does not open it.

        :param length: bytes that were encrypted
        """
        library = self._library
        plain = self._transformed(
            library.EVP_PKEY_decrypt_init, library.EVP_PKEY_decrypt, sealed, length + _CIPHER_ROOM
        )
        return plain if plain is not None and len(plain) == length else None


class VerifyingKey(_Key):
    """A public key, loaded. Made by `load_public`."""

    def verify(self, data: bytes, signature: bytes) -> bool | None:
        """Whether `signature` (DER) is over `data`; None when OpenSSL fails before it can say."""
        library, message = self._library, _bytes(data)
        answer = self._in_context(
            library.EVP_DigestVerifyInit,
            lambda context: library.EVP_DigestVerify(
                context, signature, len(signature), message, len(message)
            ),
        )
        return answer == 1 if answer in (0, 1) else None

    def encrypt(self, plain: bytes) -> bytes | None:
        """DER ciphertext for the owner of this key; None when OpenSSL fails."""
        library = self._library
        return self._transformed(
            library.EVP_PKEY_encrypt_init, library.EVP_PKEY_encrypt, plain,
            len(plain) + _CIPHER_ROOM,
        )


def _bytes(data: bytes) -> bytes:
    """`data` itself, or a copy of another buffer, which `ctypes` would refuse."""
    return data if isinstance(data, bytes) else memoryview(data).tobytes()


def _names() -> Iterator[str | None]:
    """Where libcrypto may be: what `_hashlib` is linked with, then the system's.

    A handle of an extension module finds the functions of the libraries it is linked with; None
    stands for the interpreter itself, when `_hashlib` is built into it.
    """
    with contextlib.suppress(ImportError):
        yield getattr(importlib.import_module("_hashlib"), "__file__", None)
    if found := ctypes.util.find_library("crypto"):
        yield found


def _reproduces_the_example(library: _Library) -> bool:
    public = library.parse(library.d2i_PUBKEY, _EXAMPLE_PUBLIC)
    private = library.parse(library.d2i_AutoPrivateKey, _EXAMPLE_PRIVATE)
    verifying = VerifyingKey(library, public) if public else None
    signing = SigningKey(library, private) if private else None
    if not verifying or not signing:
        return False
    made = signing.sign(_EXAMPLE_MESSAGE)
    return (
        made is not None
        and verifying.verify(_EXAMPLE_MESSAGE, made) is True
        and verifying.verify(_EXAMPLE_MESSAGE, _EXAMPLE_SIGNATURE) is True
        and verifying.verify(_EXAMPLE_MESSAGE + b"!", _EXAMPLE_SIGNATURE) is False
    )


def _open(name: str | None) -> _Library | None:
    """The library of this name when it is one that can do SM2."""
    try:
        library = _Library(name)
    except (OSError, AttributeError):
        return None
    return library if library.version >= _OLDEST and _reproduces_the_example(library) else None


@lru_cache(maxsize=1)
def _library() -> _Library | None:
    return next(filter(None, map(_open, _names())), None)


def available() -> bool:
    """Whether a usable libcrypto is there. The first call looks for it: some milliseconds."""
    return _library() is not None


def load_private(der: bytes) -> SigningKey | None:
    """The key in PKCS#8 with its public half; None when OpenSSL does not take it."""
    library = _library()
    key = library.parse(library.d2i_AutoPrivateKey, der) if library else None
    return SigningKey(library, key) if library and key else None


def public_of(secret: bytes) -> bytes | None:
    """SubjectPublicKeyInfo of a secret (32 bytes), the point computed by OpenSSL; None when it
    does not."""
    library = _library()
    if library is None:
        return None
    start = c_char_p(der := _SECRET_ALONE + secret)
    key = library.d2i_AutoPrivateKey(None, byref(start), len(der))
    library.ERR_clear_error()
    if not key:
        return None
    try:
        if library.i2d_PUBKEY(key, None) != _PUBLIC_LENGTH:  # infinity has no coordinates
            return None
        room = ctypes.create_string_buffer(_PUBLIC_LENGTH)
        end = ctypes.cast(room, c_char_p)
        return room.raw if library.i2d_PUBKEY(key, byref(end)) == _PUBLIC_LENGTH else None
    finally:
        library.EVP_PKEY_free(key)


def load_public(der: bytes) -> VerifyingKey | None:
    """The key in a SubjectPublicKeyInfo; None when OpenSSL does not take it, as off the curve."""
    library = _library()
    key = library.parse(library.d2i_PUBKEY, der) if library else None
    return VerifyingKey(library, key) if library and key else None
