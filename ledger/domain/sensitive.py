"""What may not stand in the log in clear: C2 identifiers, told by the name under which they are
given or by their own form. The kinds are those of `paylake/masking.py`. What is found is refused
with the place to put it, so that nothing of it is kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any

#: What makes a name that of somebody: a merchant's own name is public (C1), `merchant_name`.
PEOPLE = {"account", "holder", "cardholder", "person", "contact", "owner", "legal", "user",
           "payee", "payer", "real", "full", "customer", "beneficiary"}
#: Words of a name (`settlement_account` has two) that make it one of a C2 identifier, by kind.
_WORDS = {
    "document": {"passport", "identity", "idcard", "idno"},
    "card": {"pan", "card", "cardno", "cardnumber"},
    "account": {"account", "iban", "accountno", "accountnumber"},
    "phone": {"phone", "mobile", "telephone", "tel", "cellphone"},
    "address": {"address"},
    "name": {"cardholder", "holder", "contact", "representative", "fullname", "realname"},
}
C2_WORDS = frozenset().union(*_WORDS.values())
_CHINESE = {
    "document": ("身份证", "证件号", "护照"), "card": ("卡号",), "account": ("账号", "帐号"),
    "phone": ("手机", "电话"), "address": ("地址",),
    "name": ("姓名", "户名", "联系人", "法人", "持卡人"),
}
#: What a word of these adds says what the thing is like, not which one it is.
_ABOUT = {"type", "kind", "currency", "scheme", "status", "count", "level", "purpose", "code"}
_PART = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+")
_DIGITS = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){10,29}[Xx]?(?![0-9A-Za-z])")
_MOBILE = re.compile(r"(?:86)?1[3-9][0-9]{9}\Z")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def plain(text: str) -> str:
    """The text with full-width letters, digits of any script and dashes of any length as what they
    stand for."""
    return "".join(
        str(unicodedata.decimal(sign)) if sign.isdecimal()
        else "-" if unicodedata.category(sign) == "Pd" else sign
        for sign in unicodedata.normalize("NFKC", text)
    )


def words_of(key: str) -> list[str]:
    """The words of a name: `settlement_account`, `settlementAccount` and the like have two."""
    return [word.lower() for word in _PART.findall(key)]


def named(key: str) -> str | None:
    """The kind of C2 identifier that is given under this name; None when it is none."""
    key = key if key.isascii() else plain(key)
    words = words_of(key)
    if words and words[-1] not in _ABOUT:
        if words[-1] == "name" and (len(words) == 1 or set(words) & PEOPLE):
            return "name"
        if {"id", "identity", "document", "certificate"} & set(words) and (
            {"no", "number", "card"} & set(words)
        ):
            return "document"
        if words[-1] != "name":
            for kind, known in _WORDS.items():
                if known & set(words):
                    return kind
    return next(
        (kind for kind, parts in _CHINESE.items() if any(part in key for part in parts)), None
    )


def looks(text: str) -> str | None:
    """The kind of C2 identifier that stands in a text: a mobile number, a resident identity number
    (GB 11643) or a card or account number with its check digit (Luhn); None when none does."""
    for found in _DIGITS.findall(text if text.isascii() else plain(text)):
        digits = re.sub("[ -]", "", found).upper()
        if _MOBILE.match(digits):
            return "phone"
        if len(digits) == 18 and identity(digits):
            return "document"
        if digits.isdigit() and 16 <= len(digits) <= 19 and luhn(digits):
            return "card"
        if digits.isdigit() and len(digits) > 19:
            return "account"
    return None


def identity(number: str) -> bool:
    """Seventeen digits with a date of birth, and the check character."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return number[17] == "10X98765432"[total % 11]


def luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def found_in(value: Any, where: str) -> tuple[str, str] | None:
    """The first C2 identifier of a document: where it stands and its kind.

    :param where: name of the document
    """
    if isinstance(value, Mapping):
        for key, below in value.items():
            kind = named(key) or looks(key)
            if kind is not None and below not in (None, "", [], {}) and type(below) is not bool:
                return f"{where}.{key}" if looks(key) is None else where, kind
            found = found_in(below, where if looks(key) else f"{where}.{key}")
            if found is not None:
                return found
    elif isinstance(value, list):
        for number, below in enumerate(value):
            found = found_in(below, f"{where}[{number}]")
            if found is not None:
                return found
    elif isinstance(value, str) or type(value) is int:
        kind = looks(str(value))
        if kind is not None:
            return where, kind
    return None
