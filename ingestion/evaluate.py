"""One delivery, judged: rows for bronze, rows for quarantine, or the reason to refuse it whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion import checks, signed
from ingestion.checks import fraction, scales
from ingestion.feeds import Feed
from ingestion.identifiers import Identifiers
from ingestion.readers import Parsed, read
from ingestion.readers.parsed import blank_span, secret_pattern
from paylake.contracts import Column
from paylake.crypto import seal
from paylake.currencies import MINOR_DIGITS
from paylake.deliveries import Control
from paylake.keys import TrustedKey

AMOUNT = pa.decimal128(18, 4)
_UNIT = pa.decimal128(5, 4)
_CODE = re.compile("[A-Z]{3}")
_READABLE = r"^-?[0-9]{1,14}(\.[0-9]{1,4})?$"

QUARANTINE_SCHEMA = pa.schema(
    [
        ("business_date", pa.date32()),
        ("rule_code", pa.string()),
        ("rule_detail", pa.string()),
        ("record_key", pa.string()),
        ("merchant_id", pa.string()),
        ("amount", AMOUNT),
        ("_delivery_id", pa.string()),
        ("_file_name", pa.string()),
        ("_line_number", pa.int64()),
        ("_byte_offset", pa.int64()),
        ("sealed_row", pa.binary()),
    ]
)


@dataclass
class Judged:
    """What one delivery comes to. `reason` is null when it is accepted."""

    delivery_id: str
    files: dict[str, Parsed]
    bronze: pa.Table | None = None
    quarantine: list[dict] = field(default_factory=list)
    keys: list[pa.Array] = field(default_factory=list)
    rows: int = 0
    accepted: int = 0
    reason: str | None = None
    detail: str = ""
    note: str = ""

    @property
    def unclassed(self) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for parsed in self.files.values():
            names.update((name, None) for name in parsed.unclassed)
        return tuple(names)

    def refuse(self, reason: str, detail: str) -> Judged:
        self.reason, self.detail = reason, detail
        self.bronze, self.quarantine, self.keys, self.accepted = None, [], [], 0
        return self


def joined_key(table: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    """The business key as one text (null when a part is)."""
    arrays = [table.column(name).combine_chunks() for name in columns]
    if len(arrays) == 1:
        return arrays[0]
    return pc.binary_join_element_wise(*arrays, "|")


def parse(feed: Feed, files: dict[str, bytes]) -> dict[str, Parsed]:
    """Read every file of a delivery, in order of name, and judge its values."""
    parsed = {name: read(feed, data) for name, data in sorted(files.items())}
    for item in parsed.values():
        item.verdict = checks.check(feed, item.table)
        _blank_displaced(feed, item)
    return parsed


def _blank_displaced(feed: Feed, parsed: Parsed) -> None:
    """Blank C3 values that a shifted row holds in another column.

    A row with the right number of fields but broken values, and nothing where its C3 value should
    stand, may have it elsewhere: whatever looks like one is blanked before the row is kept.
    """
    pattern = secret_pattern(feed)
    if pattern is None or parsed.verdict is None or not parsed.verdict.bad.any():
        return
    buffer = bytearray(parsed.clean)
    for row in np.flatnonzero(parsed.verdict.bad).tolist():
        placed = (parsed.table.column(c.name)[row].as_py() for c in feed.secret_columns)
        if not all(value and set(value) == {"*"} and len(value) >= 3 for value in placed):
            blank_span(buffer, pattern, int(parsed.offsets[row]), int(parsed.ends[row]))
    parsed.clean = bytes(buffer)


def judge(
    feed: Feed,
    control: Control,
    files: dict[str, Parsed],
    seen: list[pa.Array],
    identifiers: Identifiers,
    key: bytes,
    trust: Mapping[str, TrustedKey],
) -> Judged:
    """Apply the contract to a delivery whose control file holds.

    :param seen: keys that count as seen before, in accepted rows.
    :param key: the sealing key, for quarantined rows.
    :param trust: the trust file's keys, where the feed's rows carry signed documents.
    """
    day = control.business_date
    result = Judged(control.delivery_id, files)
    for name, parsed in files.items():
        if parsed.problem is not None:
            return result.refuse(parsed.problem.reason, f"{name}: {parsed.problem.detail}")
    announced = {item.name: item.rows for item in control.files}
    for name, parsed in files.items():
        if parsed.rows != announced[name]:
            return result.refuse(
                "rows_mismatch", f"{name} has {parsed.rows} rows, announced {announced[name]}"
            )
    result.rows = sum(parsed.rows for parsed in files.values())
    if result.rows < feed.minimum_rows:
        return result.refuse("too_few_rows", f"{result.rows}, at least {feed.minimum_rows}")
    mismatch = _totals(feed, control, files, result)
    if mismatch:
        return result.refuse("amount_mismatch", mismatch)

    known = list(seen)
    verdicts: dict[str, checks.Verdict] = {}
    for name, parsed in files.items():
        verdicts[name] = (parsed.verdict or checks.check(feed, parsed.table)).copy()
        signed.flag(feed, parsed.table, verdicts[name], trust)
    _same_record(feed, files, verdicts)
    for name, parsed in files.items():
        keys = joined_key(parsed.table, feed.key)
        verdict = verdicts[name]
        verdict.flag(_repeated(keys, known, ~verdict.bad), "duplicate_key")
        known.append(keys.filter(pa.array(~verdict.bad)))
        result.keys.append(known[-1])

    bad = sum(int(verdicts[n].bad.sum()) + len(p.malformed) for n, p in files.items())
    if bad > feed.bad_row_limit * result.rows:
        first = _first_bad(feed, files, verdicts)
        if feed.is_book:
            return result.refuse("bad_row_in_book", f"{bad} of {result.rows} rows; {first}")
        return result.refuse(
            "too_many_bad_rows",
            f"{bad} of {result.rows} rows, limit {feed.bad_row_limit:%}; {first}",
        )
    pieces = []
    for name, parsed in files.items():
        good = pa.array(np.flatnonzero(~verdicts[name].bad))
        pieces.append(_bronze(feed, control, name, parsed, good, identifiers))
        result.quarantine += _quarantined(feed, day, control, name, parsed, verdicts[name], key)
    result.bronze = pa.concat_tables(pieces)
    result.accepted = result.bronze.num_rows
    return result


def _first_bad(
    feed: Feed, files: dict[str, Parsed], verdicts: dict[str, checks.Verdict]
) -> str:
    for name, parsed in files.items():
        places = [(m.line, m.rule, m.detail) for m in parsed.malformed[:1]]
        rows = np.flatnonzero(verdicts[name].bad)
        if rows.size:
            row = int(rows[0])
            places.append(
                (int(parsed.lines[row]), verdicts[name].rule(row), verdicts[name].detail(row))
            )
        if places:
            line, rule, detail = min(places)
            return f"first: {name} line {line}, {rule} ({detail})"
    return "none"


def _repeated(keys: pa.Array, known: list[pa.Array], candidates: np.ndarray) -> np.ndarray:
    """Candidate rows whose key was seen before, in `known` or earlier in this file."""
    repeated = np.zeros(len(keys), bool)
    for earlier in known:
        if len(earlier):
            found = pc.is_in(keys, value_set=earlier, skip_nulls=True)
            repeated |= found.to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(candidates & ~repeated)
    chosen = keys.take(pa.array(rows)).dictionary_encode()
    if len(chosen.dictionary) == rows.size:
        return repeated
    codes = chosen.indices.to_numpy(zero_copy_only=False)
    _, first = np.unique(codes, return_index=True)
    later = np.ones(rows.size, bool)
    later[first] = False
    repeated[rows[later]] = True
    return repeated


def _same_record(
    feed: Feed, files: dict[str, Parsed], verdicts: dict[str, checks.Verdict]
) -> None:
    """A bad row takes its whole business record along, over all files of the delivery."""
    broken = []
    for name, parsed in files.items():
        if verdicts[name].bad.any():
            keys = joined_key(parsed.table, feed.record_key)
            broken.append(keys.filter(pa.array(verdicts[name].bad)).drop_null())
    for name, parsed in files.items():
        keys = joined_key(parsed.table, feed.record_key)
        for bad in broken:
            along = pc.is_in(keys, value_set=bad, skip_nulls=True)
            verdicts[name].flag(along.to_numpy(zero_copy_only=False), "same_record")


def amounts(feed: Feed, table: pa.Table) -> pa.Array:
    """Amounts as decimal(18,4) in the currency's unit; null where the text is no exact amount, or
    whole minor units of a currency that has no known one."""
    if feed.amount_column is None:
        return pa.nulls(table.num_rows, AMOUNT)
    text = table.column(feed.amount_column).combine_chunks()
    readable = pc.match_substring_regex(text, _READABLE)
    exact = _exact(feed.contract.column(feed.amount_column), table, text)
    text = pc.if_else(pc.and_(readable, exact), text, None)
    if not feed.is_in_minor_units:
        return text.cast(AMOUNT)
    currency = _currency(feed, table)
    known = pc.index_in(currency, value_set=pa.array(list(MINOR_DIGITS), currency.type))
    units = pa.array([Decimal(1).scaleb(-n) for n in MINOR_DIGITS.values()], _UNIT)
    return pc.multiply(text.cast(pa.decimal128(18, 0)), units.take(known)).cast(AMOUNT)


def _exact(column: Column, table: pa.Table, text: pa.Array) -> pa.Array:
    """Amounts that have no more decimals than their column or, where it names one (`scaleOf`),
    their currency."""
    scale = max(int(column.properties.get("scale", 0)), 1)
    exact = pa.array(np.zeros(len(text), bool))
    for rows, digits in scales(column, table):
        pattern = f"^-?[0-9]+{fraction(scale, scale if digits is None else digits)}$"
        fits = pc.match_substring_regex(text, pattern)
        exact = fits if rows is None else pc.if_else(pa.array(rows), fits, exact)
    return exact


def _currency(feed: Feed, table: pa.Table) -> pa.Array:
    assert feed.currency_column is not None
    return table.column(feed.currency_column).combine_chunks()


def _unknown_currencies(feed: Feed, table: pa.Table) -> list[str]:
    """Codes whose minor unit nobody knows, of a feed in minor units: its amounts have no value.
    Text that is no code is the rows' own matter, and is not repeated anywhere."""
    if not feed.is_in_minor_units:
        return []
    codes = pc.unique(_currency(feed, table).drop_null()).to_pylist()
    return sorted(c for c in codes if _CODE.fullmatch(c) and c not in MINOR_DIGITS)


def _totals(
    feed: Feed, control: Control, files: dict[str, Parsed], result: Judged
) -> str | None:
    """Compare amounts by currency with the control file; a sentence when they differ.

    A row without a readable amount cannot be added up: then the totals are not comparable, which
    is noted with the difference, and the row itself is in quarantine for it.
    """
    if feed.amount_column is None:
        if control.amount_totals:
            return f"{feed.name} carries no amounts, announced {dict(control.amount_totals)}"
        return None
    found: dict[str, Decimal] = {}
    for parsed in files.values():
        strange = _unknown_currencies(feed, parsed.table)
        if strange:
            return f"a currency without a known minor unit: {', '.join(strange)[:80]}"
    unreadable = sum(len(parsed.malformed) for parsed in files.values())
    for parsed in files.values():
        values = amounts(feed, parsed.table)
        currency = _currency(feed, parsed.table)
        usable = pc.and_(values.is_valid(), pc.match_substring_regex(currency, "^[A-Z]{3}$"))
        usable = pc.fill_null(usable, False)
        unreadable += parsed.table.num_rows - int(pc.sum(usable).as_py() or 0)
        table = pa.table({"currency": currency, "amount": values.cast(pa.decimal128(38, 4))})
        sums = table.filter(usable).group_by("currency").aggregate([("amount", "sum")])
        for row in sums.to_pylist():
            found[row["currency"]] = found.get(row["currency"], Decimal(0)) + row["amount_sum"]
    differences = {
        currency: found.get(currency, Decimal(0)) - control.amount_totals.get(currency, Decimal(0))
        for currency in sorted({*found, *control.amount_totals})
    }
    differences = {c: d for c, d in differences.items() if d}
    if not differences:
        return None
    text = ", ".join(f"{c} {d.normalize():+f}" for c, d in differences.items())
    if unreadable:
        result.note = (
            f"amount totals not comparable: {unreadable} rows have no readable amount ({text})"
        )
        return None
    return f"rows add up to another total than announced: {text}"


def _bronze(
    feed: Feed,
    control: Control,
    name: str,
    parsed: Parsed,
    good: pa.Array,
    identifiers: Identifiers,
) -> pa.Table:
    whole = len(good) == parsed.table.num_rows
    table = parsed.table if whole else parsed.table.take(good)
    tokens = identifiers.tokenise(feed, table, control.business_date)
    rows = table.num_rows
    chosen = good.to_numpy()
    provenance = {
        "business_date": pa.repeat(pa.scalar(control.business_date, pa.date32()), rows),
        "_delivery_id": pa.repeat(pa.scalar(control.delivery_id), rows),
        "_file_name": pa.repeat(pa.scalar(name), rows),
        "_line_number": pa.array(parsed.lines[chosen], pa.int64()),
        "_byte_offset": pa.array(parsed.offsets[chosen], pa.int64()),
    }
    schema = feed.contract.arrow_schema
    columns = []
    for item in schema:
        if item.name in provenance:
            columns.append(provenance[item.name])
        elif item.name in tokens:
            columns.append(tokens[item.name])
        else:
            columns.append(table.column(item.name))
    return pa.table(columns, schema=schema)


def row_context(delivery_id: str, name: str, line: int) -> bytes:
    """What a quarantined row's seal is bound to."""
    return f"quarantine:{delivery_id}/{name}/{line}".encode()


def _quarantined(
    feed: Feed,
    day: date,
    control: Control,
    name: str,
    parsed: Parsed,
    verdict: checks.Verdict,
    key: bytes,
) -> list[dict]:
    rows = []
    bad = np.flatnonzero(verdict.bad)
    table = parsed.table.take(pa.array(bad))
    values = amounts(feed, table).to_pylist()
    keys = joined_key(table, feed.key).to_pylist()
    merchants = [None] * len(bad)
    if "merchant_id" in feed.names:
        merchants = table.column("merchant_id").to_pylist()
    for position, row in enumerate(bad.tolist()):
        line = int(parsed.lines[row])
        rows.append(
            {
                "business_date": day,
                "rule_code": verdict.rule(row),
                "rule_detail": verdict.detail(row),
                "record_key": keys[position],
                "merchant_id": merchants[position],
                "amount": values[position],
                "_delivery_id": control.delivery_id,
                "_file_name": name,
                "_line_number": line,
                "_byte_offset": int(parsed.offsets[row]),
                "sealed_row": seal(
                    key, parsed.raw(row), row_context(control.delivery_id, name, line)
                ),
            }
        )
    for item in parsed.malformed:
        rows.append(
            {
                "business_date": day,
                "rule_code": item.rule,
                "rule_detail": item.detail,
                "record_key": None,
                "merchant_id": None,
                "amount": None,
                "_delivery_id": control.delivery_id,
                "_file_name": name,
                "_line_number": item.line,
                "_byte_offset": item.offset,
                "sealed_row": seal(
                    key,
                    parsed.raw_malformed(item),
                    row_context(control.delivery_id, name, item.line),
                ),
            }
        )
    return sorted(rows, key=lambda r: (r["_line_number"], r["_byte_offset"]))


def unclassed_json(names: tuple[str, ...]) -> str | None:
    """Names of unclassed columns as the text that `ops.delivery` keeps."""
    return json.dumps(list(names), ensure_ascii=False) if names else None
