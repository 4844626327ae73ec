"""Value rules of a contract over whole columns: which row breaks which rule first.

A row's first violation in contract order decides. Details name the column and never show a value:
a value that is out of place may be anybody's card number.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.codes import RULES
from ingestion.feeds import Feed
from paylake.contracts import Column
from paylake.currencies import MINOR_DIGITS

CODES = tuple(RULES)
SOUND = -1
#: Below this a second thread costs more than it gives.
_FEW_ROWS = 100_000
_RANGES = {"int": (-(2**31), 2**31 - 1), "bigint": (-(2**63), 2**63 - 1)}
_INTEGER_DIGITS = 14  # decimal(18,4) has no room for more before the point
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@dataclass
class Verdict:
    """Per row: the index in `CODES` of its rule (-1: sound), and the column it is about."""

    rules: np.ndarray
    columns: np.ndarray
    names: tuple[str, ...]

    def flag(self, mask: np.ndarray, rule: str, column: int = -1) -> None:
        """Mark rows that are sound so far."""
        hit = mask & (self.rules == SOUND)
        self.rules[hit] = CODES.index(rule)
        self.columns[hit] = column

    def copy(self) -> Verdict:
        return Verdict(self.rules.copy(), self.columns.copy(), self.names)

    @property
    def bad(self) -> np.ndarray:
        return self.rules != SOUND

    def detail(self, row: int) -> str:
        rule = CODES[int(self.rules[row])]
        column = int(self.columns[row])
        return f"{self.names[column]}: {RULES[rule]}" if column >= 0 else RULES[rule]

    def rule(self, row: int) -> str:
        return CODES[int(self.rules[row])]


def check(feed: Feed, table: pa.Table) -> Verdict:
    """Judge every row of a text table against its contract."""
    rows = table.num_rows
    verdict = Verdict(np.full(rows, SOUND, np.int8), np.full(rows, -1, np.int16), feed.names)
    if not rows:
        return verdict
    judged = [(i, c) for i, c in enumerate(feed.columns) if c.classification != "C3"]
    # A column is judged by libraries that let other threads run; flags are set in contract order.
    with ThreadPoolExecutor(os.cpu_count() if rows > _FEW_ROWS else 1) as pool:
        found = pool.map(lambda pair: _broken(feed, pair[1], table), judged)
        for (index, _), rules in zip(judged, found, strict=True):
            for rule, mask in rules:
                verdict.flag(mask, rule, index)
    return verdict


def _broken(feed: Feed, column: Column, table: pa.Table) -> list[tuple[str, np.ndarray]]:
    """(rule, rows) pairs of one column, those without a row left out."""
    values = _whole(table, column.name)
    found = []
    if values.null_count and feed.is_required(column):
        found.append(("missing_value", _numpy(values.is_null())))
    if values.null_count < len(values):
        for rows, scale in scales(column, table):
            part = values if rows is None else pc.if_else(pa.array(rows), values, None)
            found += _violations(column, part, scale)
    free = _free(column, table)
    return [
        (rule, mask)
        for rule, mask in (
            (rule, mask & ~free if rule == "bad_enum" and free is not None else mask)
            for rule, mask in found
        )
        if mask.any()
    ]


def _whole(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece."""
    values = table.column(name).combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays([c.cast(pa.large_string()) for c in values.chunks])
    return values


def _free(column: Column, table: pa.Table) -> np.ndarray | None:
    """Rows in which the closed list does not hold: another column says that a person wrote them
    (`freeWhere` of the contract)."""
    free = np.zeros(table.num_rows, bool)
    for other, kinds in column.properties.get("freeWhere", {}).items():
        values = _whole(table, other)
        free |= _numpy(pc.is_in(values, value_set=pa.array(kinds, values.type)))
    return free if free.any() else None


def scales(column: Column, table: pa.Table) -> list[tuple[np.ndarray | None, int | None]]:
    """(rows, decimals of their currency): ISO 4217's where the contract names the currency's
    column (`scaleOf`) and the code is known, else None: then the contract's scale holds alone."""
    other = column.properties.get("scaleOf")
    if other is None:
        return [(None, None)]
    currency = _whole(table, other)
    distinct = pc.unique(currency)
    if len(distinct) == 1:
        return [(None, MINOR_DIGITS.get(distinct[0].as_py()))]
    codes = pa.array(list(MINOR_DIGITS), currency.type)
    at = pc.fill_null(pc.index_in(currency, value_set=codes), len(codes)).to_numpy()
    digits = np.array([*MINOR_DIGITS.values(), -1])[at]
    groups = np.unique(digits).tolist()
    return [
        (None if len(groups) == 1 else digits == one, one if one >= 0 else None) for one in groups
    ]


def _numpy(mask: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))


def _violations(column: Column, values: pa.Array, digits: int | None):
    """(rule, rows) pairs of one column; nulls break nothing here.

    :param digits: decimals of the rows' currency, where the column's scale is its currency's.
    """
    kind = column.type
    if kind.startswith("varchar") or kind == "string":
        if column.max_length is not None:
            yield "too_long", _numpy(pc.greater(pc.utf8_length(values), column.max_length))
        if column.valid_values:
            known = pc.is_in(values, value_set=pa.array(column.valid_values, values.type))
            yield "bad_enum", _numpy(pc.and_(pc.invert(known), values.is_valid()))
    elif kind.startswith("decimal"):
        yield from _decimal(column, values, digits)
    elif kind in _RANGES:
        yield "bad_number", _bad_integers(column, values)
    elif kind == "date":
        yield "bad_date", ~_dates(values, 10) & _numpy(values.is_valid())
    elif kind == "timestamp":
        yield "bad_date", ~_timestamps(column, values) & _numpy(values.is_valid())


def _matches(values: pa.Array, pattern: str) -> np.ndarray:
    return _numpy(pc.match_substring_regex(values, pattern))


def _decimal(column: Column, values: pa.Array, digits: int | None):
    scale = int(column.properties.get("scale", 4))
    present = _numpy(values.is_valid())
    signed = "-?" if column.options.get("minimum") is None else ""
    tail = fraction(scale, scale if digits is None else digits)
    good = _matches(values, rf"^{signed}[0-9]{{1,{_INTEGER_DIGITS}}}{tail}$")
    if (good | ~present).all() and column.options.get("minimum") in (None, 0):
        return
    number = _matches(values, rf"^-?[0-9]{{1,{_INTEGER_DIGITS}}}(\.[0-9]+)?$")
    least = column.options.get("minimum")
    small = np.zeros(len(values), bool)
    if least is not None:
        for row in np.flatnonzero(number):
            small[row] = _as_decimal(values[int(row)].as_py()) < least
    yield "bad_number", present & (~number | small)
    fine = _matches(values, rf"^-?[0-9]+{tail}$")
    yield "bad_scale", present & number & ~fine


def fraction(scale: int, digits: int) -> str:
    """Pattern of what may follow the point: the currency's digits, and zeros behind them as far as
    the contract's scale goes (yen as `100.00`)."""
    zeros = max(scale - digits, 0)
    if not digits:
        return rf"(\.0{{1,{zeros}}})?" if zeros else ""
    return rf"(\.[0-9]{{1,{digits}}}0{{0,{zeros}}})?"


def _as_decimal(text: str):
    from decimal import Decimal

    return Decimal(text)


def _bad_integers(column: Column, values: pa.Array) -> np.ndarray:
    present = _numpy(values.is_valid())
    low, high = _RANGES[column.type]
    least = column.options.get("minimum")
    low = low if least is None else max(low, int(least))
    good = _matches(values, r"^-?[0-9]{1,18}$")
    bad = present & ~good
    numbers = pc.if_else(pa.array(good), values, None).cast(pa.int64())
    bad |= _numpy(pc.or_(pc.less(numbers, low), pc.greater(numbers, min(high, 10**18))))
    for row in np.flatnonzero(present & ~good):  # 19 digits may still fit
        text = values[int(row)].as_py()
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 40:
            bad[row] = not low <= int(text) <= high
    return bad


def _fixed(values: pa.Array, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes (rows × length) of the values with exactly that many bytes, and which rows they are."""
    lengths = pc.binary_length(values)
    fits = _numpy(pc.equal(lengths, length))
    chosen = values if fits.all() else values.filter(pa.array(fits))
    if not len(chosen):
        return np.zeros((0, length), np.uint8), fits
    offset_type = np.int64 if pa.types.is_large_string(chosen.type) else np.int32
    offsets = np.frombuffer(chosen.buffers()[1], offset_type)
    start = int(offsets[chosen.offset])
    raw = np.frombuffer(chosen.buffers()[2], np.uint8)
    return raw[start : start + len(chosen) * length].reshape(len(chosen), length), fits


def _number(digits: np.ndarray) -> np.ndarray:
    result = np.zeros(digits.shape[0], np.int32)
    for column in range(digits.shape[1]):
        result = result * 10 + digits[:, column]
    return result


def _dates(values: pa.Array, length: int, separator: str = " ") -> np.ndarray:
    """Rows that are a real `yyyy-MM-dd` (10 bytes) or one with a time of day (19)."""
    return ~np.isnat(moments(values, length, separator))


def moments(values: pa.Array, length: int, separator: str = " ") -> np.ndarray:
    """Times of texts of `length` bytes as seconds without zone; NaT where the text is none."""
    raw, fits = _fixed(values, length)
    found = np.full(len(values), np.datetime64("NaT"), "datetime64[s]")
    if not raw.shape[0]:
        return found
    digits = raw.astype(np.int16) - 48
    places = [0, 1, 2, 3, 5, 6, 8, 9]
    fine = (raw[:, 4] == 45) & (raw[:, 7] == 45)
    if length == 19:
        places += [11, 12, 14, 15, 17, 18]
        fine &= (raw[:, 10] == ord(separator)) & (raw[:, 13] == 58) & (raw[:, 16] == 58)
    for place in places:
        fine &= (digits[:, place] >= 0) & (digits[:, place] <= 9)
    year, month, day = (_number(digits[:, a:b]) for a, b in ((0, 4), (5, 7), (8, 10)))
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    days = _DAYS[np.clip(month, 0, 12)] + ((month == 2) & leap)
    fine &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= days)
    second = np.zeros(raw.shape[0], np.int64)
    if length == 19:
        hour, minute, second_ = (_number(digits[:, a : a + 2]) for a in (11, 14, 17))
        fine &= (hour <= 23) & (minute <= 59) & (second_ <= 59)
        second = hour.astype(np.int64) * 3600 + minute * 60 + second_
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    seconds = (months.astype("datetime64[D]") + (day - 1)).astype("datetime64[s]") + second
    found[fits] = np.where(fine, seconds, np.datetime64("NaT"))
    return found


def _timestamps(column: Column, values: pa.Array) -> np.ndarray:
    pattern = str(column.options.get("format", "yyyy-MM-dd HH:mm:ss"))
    if "'T'" not in pattern:
        return _dates(values, 19)
    text = pc.if_else(pc.string_is_ascii(values), values, None)
    head = pc.utf8_slice_codeunits(text, 0, 19)
    tail = pc.utf8_slice_codeunits(text, 19)
    zoned = _matches(tail, r"^(\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$")
    return _dates(head, 19, "T") & zoned
