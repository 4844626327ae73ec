"""What a reconciliation gives: the answer, an open item as it is shown, and the file that lists
every posting and line with its class."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ledger.domain.bank_statement import Line
from ledger.domain.reconciliations import DONE, shown_key
from ledger.domain.reconciling import JOURNAL, OPENING, Matching
from ledger.service.account_reading import Posting
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

COLUMNS = (
    "item", "class", "rule", "side", "entry", "value_date", "amount_minor", "reference",
)


def shown(ledger: Ledger, name: str, *, replayed: bool) -> dict[str, Any]:
    """What is answered of a reconciliation.

    :raises RequestRefused: `reconciliation_unknown`
    """
    done = ledger.state.get(DONE, name)
    if done is None:
        raise RequestRefused("reconciliation_unknown", "there is no such reconciliation", 404)
    return {**head(ledger, name, done), "replayed": replayed, "dry_run": False}


def head(ledger: Ledger, name: str, done: Mapping[str, Any]) -> dict[str, Any]:
    """A reconciliation without what is the ledger's own matter."""
    hidden = ("revision", "read_from")
    return {
        "reconciliation_id": name, "scale": ledger.chart.currencies[done["currency_code"]],
        **{field: value for field, value in done.items() if field not in hidden},
    }


def shown_item(document: Mapping[str, Any]) -> dict[str, Any]:
    """An open item as it is answered."""
    difference = document["ledger_minor"] - document["statement_minor"]
    return {
        "account_id": document["account_id"], "currency_code": document["currency_code"],
        "class": document["class"], "side": "short" if difference > 0 else "long",
        "reference": shown_key(document["key"]),
        "journal_id": document["key"][1] if document["key"][0] == JOURNAL else None,
        "ledger_minor": document["ledger_minor"], "ledger_count": document["ledger_count"],
        "statement_minor": document["statement_minor"],
        "statement_count": document["statement_count"], "difference_minor": difference,
        "first_date": document["first_date"],
        "ledger_entry": (document["ledger_entry"] or (None, None))[1],
        "statement_entry": (document["statement_entry"] or (None, None))[1],
        "opened_by": document["opened_by"],
    }


def file_of(
    matching: Matching, ids: Sequence[str], before: Mapping[str, Mapping[str, Any]],
    postings: Sequence[Posting], lines: Sequence[Line], clear: Callable[[str | None], str],
) -> bytes:
    """The file, as CSV: a row for each posting and line, for each side of an item that was open
    before, and for the balances of before the first statement. The rows of an item add up to it.

    :param ids: of the items, in their order
    :param before: documents of the items that were open before, by id
    :param clear: a reference as it may be shown
    """
    rows: list[tuple] = []
    for place, item in enumerate(matching.items):
        for name in item.carried:
            document = before[name]
            for side in ("ledger", "statement"):
                if document[f"{side}_count"]:
                    rows.append((
                        place, f"carried_{side}", name, document[f"{side}_date"],
                        document[f"{side}_minor"], shown_key(document["key"]) or "",
                    ))
        if item.key[0] == OPENING and not item.carried:
            for side, amount in (("ledger", item.ledger), ("statement", item.statement)):
                rows.append((place, f"opening_{side}", "", item.first_date, amount, ""))
    for place, posting in zip(matching.of_posting, postings, strict=True):
        rows.append((
            place, "ledger", posting.name, posting.value_date, posting.amount,
            clear(posting.reference),
        ))
    for place, line in zip(matching.of_line, lines, strict=True):
        rows.append((
            place, "statement", line.line_id, line.value_date, line.amount, clear(line.reference),
        ))
    rows.sort()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place, *row in rows:
        item = matching.items[place]
        writer.writerow((ids[place], item.class_, item.rule or "", *row))
    return text.getvalue().encode()
