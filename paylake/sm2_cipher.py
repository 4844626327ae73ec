"""SM2 encryption (GB/T 32918.4) of a few bytes for the owner of a key, over OpenSSL or gmssl.

The ciphertext is the DER of GM/T 0009 (``SEQUENCE{x, y, SM3, bytes}``), so ``openssl pkeyutl
-decrypt`` opens it. As for signatures (`paylake.crypto`), OpenSSL computes where it has SM2;
elsewhere the points come from gmssl, the nonce from the operating system, and what gmssl does not
check is checked here.
"""

from __future__ import annotations

import hmac
import secrets

from Cryptodome.Util.asn1 import DerInteger, DerOctetString, DerSequence
from gmssl import sm2 as gm_sm2

from paylake import sm2_openssl
from paylake.crypto import POINT, PrivateKey, PublicKey, is_on_curve, multiplied, sm3
from paylake.errors import NotVerified

#: A session's key, or another key: nobody encrypts more by SM2 itself.
MOST_BYTES = 1024
_ORDER = int(gm_sm2.default_ecc_table["n"], 16)
_COORDINATE = 32


def encrypt(reader: PublicKey, plain: bytes) -> bytes:
    """Ciphertext (DER) that the owner of the key alone can open.

    :raises ValueError: for no bytes or too many, and for a point that is not on the curve.
    """
    if not 0 < len(plain) <= MOST_BYTES:
        raise ValueError(f"from 1 to {MOST_BYTES} bytes can be encrypted, not {len(plain)}")
    if not POINT.fullmatch(reader.point) or not is_on_curve(reader.point):
        raise ValueError("not a point on the SM2 curve")
    key = sm2_openssl.load_public(reader.der()) if sm2_openssl.available() else None
    made = key.encrypt(plain) if key else None
    return _encrypt_in_python(reader.point, plain) if made is None else made


def decrypt(key: PrivateKey, sealed: bytes) -> bytes:
    """What was encrypted for this key.

    :raises NotVerified: for another key, a changed byte, or what is no such ciphertext.
    """
    x, y, digest, cipher = _parts(sealed)
    loaded = sm2_openssl.load_private(key.der()) if sm2_openssl.available() else None
    plain = loaded.decrypt(sealed, len(cipher)) if loaded else None
    if plain is None:
        plain = _decrypt_in_python(key, f"{x:064x}{y:064x}", digest, cipher)
    return plain


def _fault(why: str) -> NotVerified:
    return NotVerified(
        f"The SM2 ciphertext cannot be opened: {why}", "Ask for it again, with this key's half."
    )


def _parts(sealed: bytes) -> tuple[int, int, bytes, bytes]:
    """The point, the digest and the masked bytes of a ciphertext in its one DER encoding."""
    try:
        found = DerSequence().decode(sealed, strict=True, nr_elements=4)
        x, y = found[0], found[1]
        digest = DerOctetString().decode(found[2], strict=True).payload
        cipher = DerOctetString().decode(found[3], strict=True).payload
    except (ValueError, IndexError, TypeError) as error:
        raise _fault(f"it is no ciphertext ({error})") from error
    if not (isinstance(x, int) and isinstance(y, int) and min(x, y) >= 0 and len(digest) == 32
            and 0 < len(cipher) <= MOST_BYTES and max(x, y) < 1 << 256
            and _der(x, y, digest, cipher) == sealed):
        raise _fault("it is no ciphertext")
    if not is_on_curve(f"{x:064x}{y:064x}"):
        raise _fault("its point is not on the curve")
    return x, y, digest, cipher


def _der(x: int, y: int, digest: bytes, cipher: bytes) -> bytes:
    return DerSequence([
        DerInteger(x), DerInteger(y), DerOctetString(digest), DerOctetString(cipher),
    ]).encode()  # fmt: skip


def _mask(shared: bytes, length: int) -> bytes:
    """The key derivation function: SM3 over the shared point and a counter from 1."""
    blocks = range(1, -(-length // 32) + 1)
    return b"".join(sm3(shared + n.to_bytes(4, "big")) for n in blocks)[:length]


def _mixed(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _encrypt_in_python(point: str, plain: bytes) -> bytes:
    while True:
        nonce = secrets.randbelow(_ORDER - 1) + 1
        mine = multiplied(nonce, gm_sm2.default_ecc_table["g"])
        shared = bytes.fromhex(multiplied(nonce, point))
        mask = _mask(shared, len(plain))
        if any(mask):
            break
    digest = sm3(shared[:_COORDINATE] + plain + shared[_COORDINATE:])
    return _der(int(mine[:64], 16), int(mine[64:], 16), digest, _mixed(plain, mask))


def _decrypt_in_python(key: PrivateKey, point: str, digest: bytes, cipher: bytes) -> bytes:
    shared = bytes.fromhex(multiplied(int(key.secret, 16), point))
    mask = _mask(shared, len(cipher))
    plain = _mixed(cipher, mask)
    wanted = sm3(shared[:_COORDINATE] + plain + shared[_COORDINATE:])
    if not any(mask) or not hmac.compare_digest(wanted, digest):
        raise _fault("another key, or a changed byte")
    return plain
