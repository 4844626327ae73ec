"""SM2, SM3 and SM4 for the lake, over OpenSSL and gmssl.

SM3 and SM4 come from OpenSSL (`hashlib`, `cryptography`), and so does SM2 where the interpreter's
libcrypto has it (`paylake.sm2_openssl`): thousands of signatures a second. Elsewhere SM2 comes from
gmssl, at milliseconds a signature, wrapped, because gmssl takes its nonces from a Mersenne Twister,
mangles public keys whose X begins with 04, checks neither the range of r and s nor that a key is on
the curve, and fails at the point at infinity. Both ways accept the same signatures: those of
GM/T 0009, with user id ``1234567812345678``, as DER ``SEQUENCE{r, s}``, so that ``openssl pkeyutl``
verifies them (`VERIFY.md` of a package has the command). Keys are PEM: PKCS#8 and
SubjectPublicKeyInfo.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM
from gmssl import sm2 as gm_sm2

from paylake import sm2_openssl
from paylake.errors import NotVerified, PermanentFailure

_ORDER, _FIELD, _A, _B = (int(gm_sm2.default_ecc_table[name], 16) for name in "npab")
#: An SM2 point: X and Y as hexadecimal digits.
POINT = re.compile(r"[0-9a-fA-F]{128}")
_KEYS_KEPT = 1024  # loaded public keys, a few KiB each
_USER_ID = b"1234567812345678"
# DER of everything in front of the key material; the curve is sm2p256v1 (1.2.156.10197.1.301).
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
_PKCS8 = bytes.fromhex(
    "308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420"
)
_PKCS8_PUBLIC = bytes.fromhex("a144034200")
_SEAL_FORMAT = b"\x01"
_CHUNK = 1 << 20


def sm3(data: bytes) -> bytes:
    """SM3 digest (GB/T 32905), 32 bytes."""
    return hashlib.new("sm3", data).digest()


def sm3_hex(data: bytes) -> str:
    """SM3 digest as 64 lower-case hexadecimal digits."""
    return hashlib.new("sm3", data).hexdigest()


def sm3_file(path: Path) -> str:
    """SM3 digest of a file, read in pieces."""
    digest = hashlib.new("sm3")
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _pem(label: str, der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _der(path: Path, label: str) -> bytes:
    try:
        lines = path.read_text("ascii").strip().splitlines()
    except FileNotFoundError:
        raise PermanentFailure(
            "No such key file", "Give the path of an SM2 PEM file.", where=str(path)
        ) from None
    except UnicodeDecodeError:
        lines = []
    if not lines or lines[0] != f"-----BEGIN {label}-----":
        raise PermanentFailure(
            f"Not an SM2 {label.lower()} in PEM form",
            "Give the PEM file that `bin/paylake` or OpenSSL wrote.",
            where=str(path),
        )
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError as error:
        raise PermanentFailure(
            f"Damaged PEM: {error}", "Get the key file again.", where=str(path)
        ) from None


def _message_digest(data: bytes, public_hex: str) -> bytes:
    """e = SM3(Z || M) of GB/T 32918.2, with Z over the user id, the curve and the public key."""
    table = gm_sm2.default_ecc_table
    z = sm3(
        (len(_USER_ID) * 8).to_bytes(2, "big")
        + _USER_ID
        + bytes.fromhex(table["a"] + table["b"] + table["g"] + public_hex)
    )
    return sm3(z + data)


def _engine(public_hex: str, private_hex: str = "") -> gm_sm2.CryptSM2:
    crypt = gm_sm2.CryptSM2(private_key=private_hex, public_key="00" * 64)
    crypt.public_key = public_hex  # past lstrip("04"), which eats the key's own digits
    return crypt


def multiplied(number: int, point: str) -> str:
    """A multiple of a point on the curve, in Python: 10 ms and more."""
    return _engine("00" * 64)._kg(number, point)


def _spki(public_hex: str) -> bytes:
    return _SPKI + b"\x04" + bytes.fromhex(public_hex)


@lru_cache(maxsize=_KEYS_KEPT)
def _loaded_public(public_hex: str) -> sm2_openssl.VerifyingKey | None:
    return sm2_openssl.load_public(_spki(public_hex))


def _numbers(signature: bytes) -> tuple[int, int] | None:
    """r and s, both in range, of a signature in its one DER encoding; None for anything else."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return None
    if not (1 <= r < _ORDER and 1 <= s < _ORDER):
        return None
    return (r, s) if encode_dss_signature(r, s) == signature else None


def is_on_curve(public_hex: str) -> bool:
    """Whether X and Y (128 hexadecimal digits) are a point of the SM2 curve."""
    x, y = int(public_hex[:64], 16), int(public_hex[64:], 16)
    return x < _FIELD and y < _FIELD and (y * y - x * x * x - _A * x - _B) % _FIELD == 0


def _verify_in_python(public_hex: str, data: bytes, r: int, s: int) -> bool:
    if not is_on_curve(public_hex):
        return False
    digest = _message_digest(data, public_hex)
    try:
        return bool(_engine(public_hex).verify(f"{r:064x}{s:064x}", digest))
    except TypeError:  # gmssl has None for infinity, which the owner of a key can make it meet
        return False


def _sign_in_python(secret: str, public_hex: str, data: bytes) -> bytes:
    digest = _message_digest(data, public_hex)
    crypt = _engine(public_hex, secret)
    while True:
        nonce = f"{secrets.randbelow(_ORDER - 1) + 1:064x}"
        raw = crypt.sign(digest, nonce)
        if raw:  # None when r or s came out zero
            return encode_dss_signature(int(raw[:64], 16), int(raw[64:], 16))


def verify_hex(public_hex: str, data: bytes, signature: bytes) -> bool:
    """Whether `signature` (DER) is over `data`; False for a malformed signature or key as well.

    :param public_hex: X and Y as 128 hexadecimal digits, as `PublicKey.point`. Keys stay loaded,
        the last thousand of them.
    """
    numbers = _numbers(signature)
    if numbers is None or not POINT.fullmatch(public_hex):
        return False
    key = _loaded_public(public_hex.lower()) if sm2_openssl.available() else None
    answer = key.verify(data, signature) if key else None
    return _verify_in_python(public_hex, data, *numbers) if answer is None else answer


@dataclass(frozen=True)
class PublicKey:
    """An SM2 public key: X and Y as 128 hexadecimal digits."""

    point: str

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Read a PEM file.

        :raises PermanentFailure: when it is absent, damaged, or of another curve.
        """
        return cls.from_der(_der(Path(path), "PUBLIC KEY"), str(path))

    @classmethod
    def from_der(cls, der: bytes, where: str) -> PublicKey:
        if not der.startswith(_SPKI + b"\x04") or len(der) != len(_SPKI) + 65:
            raise PermanentFailure(
                "Not a public key on the SM2 curve", "Give an SM2 key.", where=where
            )
        return cls(der[len(_SPKI) + 1 :].hex())

    @classmethod
    def from_pem(cls, text: str) -> PublicKey:
        """Read PEM text, as kept in a trust file."""
        body = "".join(line for line in text.strip().splitlines() if not line.startswith("-----"))
        return cls.from_der(base64.b64decode(body), "PEM text")

    def der(self) -> bytes:
        return _spki(self.point)

    def pem(self) -> str:
        return _pem("PUBLIC KEY", self.der())

    @property
    def fingerprint(self) -> str:
        """SM3 over the DER of the key, in groups of four digits: what people compare."""
        digits = sm3_hex(self.der())
        return ":".join(digits[i : i + 4] for i in range(0, 32, 4))

    def verify(self, data: bytes, signature: bytes) -> bool:
        """True when `signature` (DER) is this key's over `data`; never raises on a bad one."""
        return verify_hex(self.point, data, signature)


@dataclass(frozen=True)
class PrivateKey:
    """An SM2 private key with its public half."""

    secret: str
    public: PublicKey

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new key; the secret comes from the operating system."""
        return cls.from_secret(f"{secrets.randbelow(_ORDER - 2) + 1:064x}")

    @classmethod
    def from_secret(cls, secret: str) -> PrivateKey:
        """The key of a secret (64 hexadecimal digits): its public half is computed."""
        der = sm2_openssl.public_of(bytes.fromhex(secret))
        if der is not None and der.startswith(_SPKI + b"\x04"):
            return cls(secret, PublicKey(der[-64:].hex()))
        return cls(secret, PublicKey(multiplied(int(secret, 16), gm_sm2.default_ecc_table["g"])))

    @classmethod
    def load(cls, path: Path) -> PrivateKey:
        """Read a PKCS#8 PEM file.

        :raises PermanentFailure: when it is absent, damaged, or of another curve.
        """
        der = _der(Path(path), "PRIVATE KEY")
        start = len(_PKCS8)
        if not der.startswith(_PKCS8) or len(der) < start + 32:
            raise PermanentFailure(
                "Not a private key on the SM2 curve", "Give an SM2 key.", where=str(path)
            )
        return cls.from_secret(der[start : start + 32].hex())

    def der(self) -> bytes:
        """PKCS#8, with the public half."""
        return (
            _PKCS8
            + int(self.secret, 16).to_bytes(32, "big")
            + _PKCS8_PUBLIC
            + b"\x04"
            + bytes.fromhex(self.public.point)
        )

    def pem(self) -> str:
        return _pem("PRIVATE KEY", self.der())

    @cached_property
    def _loaded(self) -> sm2_openssl.SigningKey | None:
        """The key in OpenSSL, freed with this object."""
        return sm2_openssl.load_private(self.der())

    def __getstate__(self) -> dict[str, object]:
        """What copies and pickles carry: the fields, not OpenSSL's pointer."""
        return {"secret": self.secret, "public": self.public}

    def sign(self, data: bytes) -> bytes:
        """DER signature of `data`; the nonce is OpenSSL's or `secrets`', never gmssl's."""
        key = self._loaded if sm2_openssl.available() else None
        signature = key.sign(data) if key else None
        return signature or _sign_in_python(self.secret, self.public.point, data)


def seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    """SM4-GCM with a random IV: format 01, IV (12), ciphertext, tag (16).

    :param context: authenticated, not stored; `unseal` must be given the same.
    """
    iv = os.urandom(12)
    encryptor = Cipher(SM4(key), GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(context)
    return _SEAL_FORMAT + iv + encryptor.update(plain) + encryptor.finalize() + encryptor.tag


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Open what `seal` made.

    :raises NotVerified: for another key, another context, or a changed byte.
    """
    if len(sealed) < 29 or sealed[:1] != _SEAL_FORMAT:
        raise NotVerified("Not a sealed value of a known format", "Restore it from a backup.")
    iv, body, tag = sealed[1:13], sealed[13:-16], sealed[-16:]
    decryptor = Cipher(SM4(key), GCM(iv, tag)).decryptor()
    decryptor.authenticate_additional_data(context)
    try:
        return decryptor.update(body) + decryptor.finalize()
    except InvalidTag:
        raise NotVerified(
            "A sealed value does not open: another key, another place, or a changed byte",
            "Check the home's keys/seal.key, then restore the file from a backup.",
        ) from None


_BLOCK = 64  # bytes that SM3 takes at a time


class HmacSm3:
    """HMAC-SM3 (GB/T 15852.2) under one key. The two keyed states are prepared once and copied:
    setting the key up anew costs four times as much as a short message.

    :param prefix: begins every message
    """

    def __init__(self, key: bytes, prefix: bytes = b"") -> None:
        key = key if len(key) <= _BLOCK else sm3(key)
        padded = key.ljust(_BLOCK, b"\0")
        self.inner = hashlib.new("sm3", bytes(b ^ 0x36 for b in padded) + prefix)
        self.outer = hashlib.new("sm3", bytes(b ^ 0x5C for b in padded))

    def digest(self, message: bytes) -> bytes:
        """The code of the prefix and a message, 32 bytes."""
        inner = self.inner.copy()
        inner.update(message)
        outer = self.outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Tokeniser:
    """Keyed SM3 tokens of identifiers (HMAC-SM3, GM/T 0091 style keyed digest): 1 M short values a
    second. Give distinct values only."""

    def __init__(self, key: bytes, key_id: str) -> None:
        keyed = HmacSm3(key)
        self._inner, self._outer = keyed.inner, keyed.outer
        self.key_id = key_id

    def token(self, value: str) -> str:
        """``<key id>_<40 hexadecimal digits>`` of one value."""
        inner = self._inner.copy()
        inner.update(value.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return f"{self.key_id}_{outer.hexdigest()[:40]}"

    def tokens(self, values: list[str | None]) -> list[str | None]:
        """Tokens of many values, None for None, in order."""
        return [None if value is None else self.token(value) for value in values]


def same(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)
