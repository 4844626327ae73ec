"""Rows that carry a signed document: verified at the door, and held against their own columns.

A feed says so by `signedDocument` in its contract: the columns of document, signature (hex), key id
and SM3, and the date on which the key had to be valid. A column with `signedField` has to say what
the document says in that field (in the first of the fields that it has), so that nobody reads from
the row what was not signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from ingestion.checks import Verdict
from ingestion.feeds import Feed
from paylake.contracts import Column
from paylake.crypto import sm3_hex
from paylake.keys import TrustedKey

_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def flag(
    feed: Feed, table: pa.Table, verdict: Verdict, trust: Mapping[str, TrustedKey]
) -> None:
    """Mark the rows whose document is not signed by a key that might (`not_signed`) or does not
    say what the row says (`not_as_signed`); rows that are bad already are left alone.

    :param trust: the trust file's keys; a key has to be one that may sign this feed
    """
    roles = feed.signed_document
    if roles is None:
        return
    columns = {name: index for index, name in enumerate(feed.names)}
    for row in np.flatnonzero(~verdict.bad).tolist():
        said = {name: table.column(name)[row].as_py() for name in feed.names}
        rule, wrong = "not_signed", roles["signature"]
        if _is_signed(feed, roles, said, trust):
            differing = _differing(feed, roles, said)
            if differing is None:
                continue
            rule, wrong = "not_as_signed", differing
        mask = np.zeros(table.num_rows, bool)
        mask[row] = True
        verdict.flag(mask, rule, columns[wrong])


def _is_signed(
    feed: Feed, roles: Mapping[str, str], said: Mapping[str, Any],
    trust: Mapping[str, TrustedKey],
) -> bool:
    key = trust.get(said[roles["key"]])
    signature = said[roles["signature"]]
    return (
        key is not None
        and key.may_sign(feed.name)
        and key.is_valid_on(date.fromisoformat(said[roles["validOn"]]))
        and _HEX.fullmatch(signature) is not None
        and key.public.verify(said[roles["document"]].encode(), bytes.fromhex(signature))
    )


def _differing(
    feed: Feed, roles: Mapping[str, str], said: Mapping[str, Any]
) -> str | None:
    """The first column that says something else than the document."""
    raw = said[roles["document"]]
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return roles["document"]
    if not isinstance(document, dict):
        return roles["document"]
    for column in feed.columns:
        fields = column.properties.get("signedField")
        if fields and said[column.name] != _signed(column, fields, document):
            return column.name
    return None if said[roles["digest"]] == sm3_hex(raw.encode()) else roles["digest"]


def _signed(column: Column, fields: list[str], document: Mapping[str, Any]) -> str | None:
    """What the document says for a column, as the row's text; of a date its first ten characters.

    A field that is absent or null is no value.
    """
    value = next((document[name] for name in fields if document.get(name) is not None), None)
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:10] if column.type == "date" else text
