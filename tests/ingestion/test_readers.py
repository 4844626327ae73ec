"""Readers: both readings are equal, nothing is lost, nothing crashes, C3 never survives."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingestion.codes import RULES
from ingestion.evaluate import parse
from ingestion.feeds import Feed
from ingestion.readers import delimited, delimited_exact, json_lines, read
from ingestion.readers.json_names import names_once
from ingestion.readers.parsed import Parsed
from ingestion.writers import write
from tests.ingestion.world import MAKERS

TRANSACTION = Feed.load("transaction")
JOURNAL = Feed.load("ledger_journal")
CUSTODIAN = Feed.load("custodian_statement")
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

text = st.text(
    st.characters(codec="gb18030", exclude_characters="\r\0"), max_size=12
) | st.sampled_from(["", '"', '""', ",", "\n", 'a"b', " 早餐，豆浆 ", "€", "𠮷"])
mutation = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 6),
    st.sampled_from(
        [b"", b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\x80", b"\xff", b"\x00", b"{", b"}",
         b"\\", b"\xe4\xb8", b"1", b"x", b",,", b'"\n', b"\x81\x30", b"null"]
    ),
)


def mutate(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for position, gone, new in changes:
        at = position % (len(data) + 1)
        data = data[:at] + new + data[at + gone :]
    return data


def same(left: Parsed, right: Parsed) -> None:
    assert left.problem == right.problem
    assert left.unclassed == right.unclassed
    assert left.malformed == right.malformed
    assert left.table.to_pylist() == right.table.to_pylist()
    for name in ("lines", "offsets", "ends"):
        assert getattr(left, name).tolist() == getattr(right, name).tolist()
    assert left.clean == right.clean


def sample(name: str, count: int = 6) -> bytes:
    return write(Feed.load(name), [MAKERS[name](n) for n in range(1, count + 1)])


def test_line_and_offset_point_at_the_record() -> None:
    data = sample("transaction")
    parsed = delimited.read_fast(TRANSACTION, data)
    assert parsed is not None and parsed.rows == 6
    for row in range(6):
        key = parsed.table.column("transaction_id")[row].as_py().encode()
        assert data[parsed.offsets[row] :].startswith(key)
        assert data[: parsed.offsets[row]].count(b"\n") + 1 == parsed.lines[row]
    # Row 3 has a line break in its text: row 4 stands one physical line further down.
    assert parsed.lines.tolist() == [2, 3, 4, 6, 7, 8]


def test_csv_agrees_with_the_standard_library() -> None:
    data = sample("transaction")
    rows = list(csv.DictReader(io.StringIO(data.decode("gb18030"), newline="")))
    parsed = read(TRANSACTION, data)
    for expected, found in zip(rows, parsed.table.to_pylist(), strict=True):
        expected["cvn2"] = "***"
        assert {k: v or None for k, v in expected.items()} == found


@QUICK
@given(st.lists(st.lists(text, min_size=18, max_size=18), max_size=6), st.booleans())
def test_fast_and_exact_csv_are_equal_on_clean_files(rows: list[list[str]], crlf: bool) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n" if crlf else "\n")
    writer.writerow(TRANSACTION.names)
    writer.writerows(rows)
    data = out.getvalue().encode("gb18030")
    exact = delimited_exact.read(TRANSACTION, data)
    fast = delimited.read_fast(TRANSACTION, data)
    assert exact.rows == len(rows)
    if fast is not None:
        same(fast, exact)


def test_the_fast_reading_is_used_on_clean_files() -> None:
    assert delimited.read_fast(TRANSACTION, sample("transaction")) is not None
    assert json_lines.read_fast(JOURNAL, sample("ledger_journal")) is not None


@QUICK
@given(st.lists(mutation, min_size=1, max_size=4))
@example([(300, 0, b"\x80")])
@example([(300, 0, b",")])
@example([(len(sample("transaction")) - 1, 1, b"")])
def test_fast_and_exact_csv_are_equal_on_mutated_files(
    changes: list[tuple[int, int, bytes]],
) -> None:
    data = mutate(sample("transaction"), changes)
    fast = delimited.read_fast(TRANSACTION, data)
    exact = delimited_exact.read(TRANSACTION, data)
    if fast is not None:
        same(fast, exact)


@QUICK
@given(st.lists(mutation, min_size=1, max_size=4))
@example([(500, 0, b"\\u0031")])
def test_fast_and_exact_json_lines_are_equal_on_mutated_files(
    changes: list[tuple[int, int, bytes]],
) -> None:
    data = mutate(sample("ledger_journal"), changes)
    fast = json_lines.read_fast(JOURNAL, data)
    if fast is not None:
        same(fast, json_lines.read_exact(JOURNAL, data))


@QUICK
@given(st.sampled_from(sorted(MAKERS)), st.lists(mutation, min_size=1, max_size=5))
def test_no_mutation_crashes_a_reader_or_loses_bytes(
    name: str, changes: list[tuple[int, int, bytes]]
) -> None:
    feed = Feed.load(name)
    data = mutate(sample(name), changes)
    parsed = read(feed, data)
    assert {m.rule for m in parsed.malformed} <= set(RULES)
    if parsed.problem is not None or feed.format == "parquet":
        return
    assert len(parsed.clean) == len(data)
    covered = np.zeros(len(data) + 1, bool)
    for start, end in zip(parsed.offsets.tolist(), parsed.ends.tolist(), strict=True):
        assert not covered[start:end].any()
        covered[start:end] = True
    for item in parsed.malformed:
        assert not covered[item.offset : item.end].any()
        covered[item.offset : item.end] = True
    first = 0
    if feed.format == "csv":
        starts = [*parsed.offsets.tolist(), *(m.offset for m in parsed.malformed)]
        first = min(starts, default=len(data))
    rest = bytes(b for at, b in enumerate(data) if at >= first and not covered[at])
    assert not rest.strip(b"\r\n")


@pytest.mark.parametrize("spoil", [
    lambda header, rows: rows,  # no header at all
    lambda header, rows: b'"\n' + header + rows.replace(b"10:11:02", b'10"', 1),
    lambda header, rows: header.replace(b"\n", b',"x\n') + rows.replace(b"\nT", b'"\nT', 1),
])
def test_a_verification_number_is_not_kept_in_what_is_taken_for_the_header(spoil) -> None:
    made = [MAKERS["transaction"](n, cvn2="987", amount="5.00") for n in range(1, 5)]
    header, rows = write(TRANSACTION, made).split(b"\n", 1)
    data = spoil(header + b"\n", rows)
    assert data.count(b",987,") == 4
    for parsed in (delimited.read_fast(TRANSACTION, data), delimited_exact.read(TRANSACTION, data)):
        assert parsed is None or b"987" not in parsed.clean


@QUICK
@given(st.lists(mutation, max_size=3))
@example([(0, 0, b'"\n'), (483, 6, b'"')])
def test_a_verification_number_is_not_kept(changes: list[tuple[int, int, bytes]]) -> None:
    rows = [MAKERS["transaction"](n, cvn2="987", amount="5.00") for n in range(1, 5)]
    data = mutate(write(TRANSACTION, rows), changes)
    parsed = parse(TRANSACTION, {"a.csv": data})["a.csv"]
    assert "987" not in parsed.table.column("cvn2").to_pylist()
    sound = b""
    if parsed.problem is None:
        # A row that breaks no rule holds a bare number only in a column of free text.
        for row in np.flatnonzero(~parsed.verdict.bad).tolist():
            sound += parsed.raw(row)
    assert parsed.clean.count(b",987,") == sound.count(b",987,")


@pytest.mark.parametrize(
    "line",
    [
        b"T9,payment,,M1,K1,6222021234500001,987,,bank_card,debit,unionpay,5.00,CNY",
        b"T9,payment,,M1,K1,,,6222021234500001,987,,bank_card,debit,unionpay,5.00,CNY,a,b,c",
        b'T9,pay"ment,,M1,K1,6222021234500001,987,,bank_card,debit,unionpay,5.00,CNY,a,b,c,d,e',
    ],
)
def test_a_verification_number_out_of_place_is_blanked(line: bytes) -> None:
    parsed = parse(TRANSACTION, {"a.csv": sample("transaction", 2) + line + b"\n"})["a.csv"]
    assert parsed.rows == 3
    assert b"987" not in parsed.clean
    assert b"6222021234500001" in parsed.clean


def test_one_stray_quote_spoils_one_line() -> None:
    lines = sample("transaction", 8).split(b"\n")
    lines[1] = lines[1].replace(b"payment", b'"payment', 1)
    parsed = read(TRANSACTION, b"\n".join(lines))
    assert [m.rule for m in parsed.malformed] == ["bad_quoting"]
    assert parsed.malformed[0].line == 2
    assert parsed.table.num_rows == 7


def test_unclassed_columns_are_named_and_not_read() -> None:
    data = sample("merchant").decode()
    lines = [line + (",backup_card" if n == 0 else ",6222021234567890")
             for n, line in enumerate(data.splitlines())]
    parsed = read(Feed.load("merchant"), ("\n".join(lines) + "\n").encode())
    assert parsed.unclassed == ("backup_card",)
    assert "6222021234567890" not in json.dumps(parsed.table.to_pylist())
    journal = json.loads(sample("ledger_journal", 1)) | {"note": "x"}
    assert read(JOURNAL, json.dumps(journal).encode()).unclassed == ("note",)


def test_a_missing_column_is_a_problem_of_the_file() -> None:
    data = sample("merchant").replace(b"fee_class", b"fee_klass")
    problem = read(Feed.load("merchant"), data).problem
    assert problem is not None and problem.reason == "missing_column"
    assert "fee_class" in problem.detail


@pytest.mark.parametrize("spoilt", [0, 1, 70, 119])
def test_a_name_twice_beside_a_line_that_lacks_it_is_found(spoilt: int) -> None:
    lines = sample("ledger_journal", 120).splitlines()
    lines[spoilt] = lines[spoilt].replace(b'"direction"', b'"direction": null, "direction"')
    without = re.sub(rb'"direction": "[CD]",', b"", lines[spoilt - 1])
    assert len(without) < len(lines[spoilt - 1])
    lines[spoilt - 1] = without
    feed = Feed.load("ledger_journal")
    data = b"\n".join(lines) + b"\n"
    assert json_lines.read_fast(feed, data) is None
    (malformed,) = json_lines.read(feed, data).malformed
    assert (malformed.rule, malformed.line) == ("bad_json", spoilt + 1)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"a":1}', b'{"a":1}\n', b'{"a":1}\n{"a":1,"a":2}\n']
)
def test_a_block_too_small_to_tell_names_in_is_no_verdict_or_a_right_one(text: bytes) -> None:
    lines = [0, *(n + 1 for n, byte in enumerate(text[:-1]) if byte == ord("\n"))]
    once = names_once(np.frombuffer(text, np.uint8), np.array(lines), ["a", "b"])
    assert not once or text.count(b'"a"') == len(lines)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, ending: bytes) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK", 700)
    lines = sample("ledger_journal", 120).splitlines()
    shorter = lines[7].replace(b'"currency_code": "CNY",', b"")  # a name may be left out
    assert len(shorter) < len(lines[7])
    lines[7] = shorter
    data = ending.join(lines)
    feed = Feed.load("ledger_journal")
    fast = json_lines.read_fast(feed, data)
    assert fast is not None
    same(fast, json_lines.read_exact(feed, data))


@pytest.mark.parametrize("line", ["[]", "1", "null", '{"journal_id": 1}', '{"a":1,"a":2}', "{", ""])
def test_json_lines_that_are_no_object_are_malformed(line: str) -> None:
    parsed = read(JOURNAL, sample("ledger_journal", 2) + line.encode() + b"\n")
    assert parsed.rows == 3
    assert [m.rule for m in parsed.malformed] == ["bad_json"]
    assert parsed.malformed[0].line == 3


def test_json_numbers_with_fractions_reach_the_number_rule() -> None:
    row = json.loads(sample("ledger_journal", 1)) | {"amount_minor": 10.5}
    parsed = read(JOURNAL, json.dumps(row).encode())
    assert parsed.table.column("amount_minor").to_pylist() == ["10.5"]


def test_fixed_width_counts_bytes_not_characters() -> None:
    rows = [MAKERS["custodian_statement"](1, summary="银联清算款入账" * 2)]
    data = write(CUSTODIAN, rows)
    assert len(data) == sum(CUSTODIAN.widths) + 1
    parsed = read(CUSTODIAN, data)
    assert parsed.table.to_pylist() == rows
    cut = read(CUSTODIAN, data[:-3] + b"\n")
    assert [m.rule for m in cut.malformed] == ["wrong_column_count"]
    # The last byte of a two-byte character gone: the width is right, the encoding is not.
    spoiled = read(CUSTODIAN, data.replace("账".encode("gb18030"), b"\xd5 "))
    assert [m.rule for m in spoiled.malformed] == ["bad_encoding"]
