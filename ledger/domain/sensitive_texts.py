"""Whether `metadata` or a `reason` holds a person's number in clear (C2). Unlike `details`, they
carry numbers of orders, one in ten of which has a card's check digit, so only what is surely
somebody's is refused:

- a value under a name that says what it is, as in `details` (`phone`, `card_no`, `account_name`),
  unless the name says that it is none any more (`card_token`) or the number of something else
  (`card_order_no`);
- a resident identity number: region, date of birth, check character;
- a mobile number or a card's number (an issuer's prefix, its length, the check digit) that stands
  by itself in a value or a sentence: not under the name of an order's or another thing's number
  (`order`, `trace_no`, `device_id`), nor behind such a word in a sentence ("order 6222…"), nor as
  part of a longer number (`ORD-6222…`).

What is a person's and does not show it, such as a name in a sentence, no program can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ledger.domain.sensitive import C2_WORDS, PEOPLE, identity, luhn, named, plain, words_of

#: Things that have numbers of their own, and words that end such a number's name.
_THINGS = frozenset({
    "batch", "bill", "case", "entry", "event", "incident", "invoice", "journal", "message", "order",
    "orders", "payment", "payout", "receipt", "ref", "reference", "refund", "request", "sequence",
    "serial", "shipment", "terminal", "ticket", "trace", "trade", "transaction", "transfer", "txn",
    "voucher", "waybill", "withdrawal",
})
_NUMBERS = frozenset({"code", "id", "key", "no", "num", "number", "sn"})
#: A quantity is no number of anybody.
_MEASURES = frozenset({
    "amount", "at", "balance", "bytes", "count", "duration", "fee", "fen", "limit", "minor", "ms",
    "price", "quantity", "seconds", "size", "sum", "time", "timestamp", "total", "volume",
})
#: What ends the name of something that is not the number itself.
_NOT_CLEAR = frozenset({
    "bin", "check", "checked", "digest", "hash", "last", "mask", "masked", "method", "result", "sm",
    "token", "verified",
})
_CUSTOMERS = PEOPLE | {"buyer", "client", "guest", "login", "member", "sender", "recipient"}
#: Eleven digits and more in one piece, or as people write a card's, a mobile or an identity number.
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z])(?:(?:\+|00)?86[ -]?)?("
    r"[0-9]{4}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{1,3})?|[0-9]{4}[ -][0-9]{6}[ -][0-9]{5}"
    r"|1[3-9][0-9][ -][0-9]{4}[ -][0-9]{4}|[0-9]{6}[ -][0-9]{8}[ -][0-9]{3}[0-9Xx]"
    r"|[0-9]{11,19}[Xx]?)(?![0-9A-Za-z])"
)
#: As many digits, spaces and dashes as the shortest of them: most texts have none.
_LONG = re.compile(r"[0-9][0-9 -]{10}")
#: Signs by which a number hangs on what stands before or behind it.
_JOINTS = "-_/#."
_BEHIND = re.compile(
    r"(?:\b(?:" + "|".join(sorted(_THINGS))
    + r")s?\b(?:[ .:#]*\b(?:no|nos|number|numbers|id|nr)\b)?"
    r"|单号|订单|流水号?|参考号|交易号?|凭证号?|票号|批次号?|运单|发票)"
    r"[^0-9A-Za-z]{0,3}\Z", re.IGNORECASE,
)
_MOBILE = re.compile(r"1[3-9][0-9]{9}\Z")
#: An issuer's prefix and the lengths of its numbers: UnionPay, ICBC's older ones, Visa, Mastercard,
#: JCB, American Express, Diners Club, Discover.
_CARD = re.compile(
    r"62[0-9]{14,17}\Z|9558[0-9]{15}\Z|4[0-9]{15}\Z|5[1-5][0-9]{14}\Z"
    r"|(?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}\Z"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}\Z|3[47][0-9]{13}\Z|3[068][0-9]{12}\Z"
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12}\Z"
)
#: First digits of GB/T 2260: provinces, Hong Kong, Macao, Taiwan, and residence permits.
_REGION = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91")
#: The number of an order may carry the date on which it was made; nobody's before this service was.
_ORDERS_SINCE = "2012"


def in_metadata(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """The name of the first entry that holds a person's number, and its kind."""
    for key, value in metadata.items():
        is_number, kind = _name(key)
        kind = kind or _kind(str(value), is_number)
        if kind is not None:
            return key, kind
    return None


def in_text(text: str) -> str | None:
    """The kind of a person's number that stands in a sentence; None when none does."""
    return _kind(text, False)


@lru_cache(4096)  # senders give the same names again and again
def _name(key: str) -> tuple[bool, str | None]:
    """Whether a name is that of a thing's number or a quantity, and the kind of a person's number
    that it says it is."""
    words = words_of(key)
    if _of_thing(words):
        return True, None
    ends = words[-1] if words else ""
    return ends in _MEASURES, None if ends in _NOT_CLEAR else named(key)


def _of_thing(words: list[str]) -> bool:
    """Whether a name is that of the number of a thing, not of a person's."""
    rest = [word for word in words if word not in _NUMBERS]
    if not rest or rest[-1] in C2_WORDS:
        return False
    return rest[-1] in _THINGS or (rest != words and not _CUSTOMERS & set(rest))


def _kind(text: str, is_number: bool) -> str | None:
    """:param is_number: it is the number of a thing: it may have a card's or a mobile's form"""
    text = text if text.isascii() else plain(text)
    if _LONG.search(text) is None:
        return None
    for digits, before in _numbers(text):
        of_thing = is_number or _BEHIND.search(before) is not None
        if len(digits) == 18 and identity(digits) and _REGION.match(digits) and (
            digits[6:10] >= "1900" and (not of_thing or digits[6:10] < _ORDERS_SINCE)
        ):
            return "document"
        if not of_thing and _MOBILE.match(digits):
            return "phone"
        if not of_thing and _CARD.match(digits) and luhn(digits):
            return "card"
    return None


def _numbers(text: str) -> Iterator[tuple[str, str]]:
    """Numbers that stand by themselves, without their signs, and what is before each."""
    for found in _NUMBER.finditer(text):
        first, last = found.span()
        hangs = first > 1 and text[first - 1] in _JOINTS and text[first - 2].isalnum()
        goes_on = last + 1 < len(text) and text[last] in _JOINTS and text[last + 1].isalnum()
        if not hangs and not goes_on:
            digits = found.group(1).replace(" ", "").replace("-", "").upper()
            yield digits, text[max(0, first - 40) : first]
