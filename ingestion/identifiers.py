"""C2 identifiers at the door: a keyed token, a masked display value, and the sealed original.

Tokens are HMAC-SM3 of distinct values only. The original is sealed into `vault.identifier`, one
row a token, the first time that it is seen; the seal's context is the token itself.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.feeds import Feed
from paylake.crypto import Tokeniser, seal
from paylake.lake import Lake
from paylake.masking import mask

VAULT = ("vault", "identifier")
VAULT_SCHEMA = pa.schema(
    [
        ("token", pa.string()),
        ("kind", pa.string()),
        ("key_id", pa.string()),
        ("sealed_value", pa.binary()),
        ("first_seen_date", pa.date32()),
    ]
)


class Identifiers:
    """Tokens made in one run, each with its kind, value and first date."""

    def __init__(self, tokeniser: Tokeniser) -> None:
        self.tokeniser = tokeniser
        self.seen: dict[str, tuple[str, str, date]] = {}
        self._made: dict[tuple[str, str], tuple[str, str | None]] = {}

    def tokenise(self, feed: Feed, table: pa.Table, day: date) -> dict[str, pa.Array]:
        """`<column>_token` and `<column>_masked` of every C2 column, parallel to the table."""
        result: dict[str, pa.Array] = {}
        for column in feed.columns:
            if column.classification != "C2":
                continue
            kind = str(column.properties["mask"])
            coded = table.column(column.name).combine_chunks().dictionary_encode()
            if isinstance(coded, pa.ChunkedArray):
                coded = pa.concat_arrays(coded.unify_dictionaries().chunks)
            distinct = coded.dictionary.to_pylist()
            pairs = [self._pair(kind, value, day) for value in distinct]
            tokens = [pair[0] for pair in pairs]
            shown = [pair[1] for pair in pairs]
            result[f"{column.name}_token"] = pa.array(tokens, pa.string()).take(coded.indices)
            result[f"{column.name}_masked"] = pa.array(shown, pa.string()).take(coded.indices)
        return result

    def _pair(self, kind: str, value: str | None, day: date) -> tuple[str | None, str | None]:
        """Token and display value; made once a value and pass."""
        if value is None:
            return None, None
        known = self._made.get((kind, value))
        if known is None:
            token = self.tokeniser.token(value)
            known = self._made[(kind, value)] = (token, mask(kind, value))
            self.seen.setdefault(token, (kind, value, day))
        return known

    def forget(self) -> None:
        """Let go of clear values, once they are stored."""
        self.seen.clear()
        self._made.clear()

    def store(self, lake: Lake, key: bytes) -> int:
        """Seal the values that the vault does not have yet; returns how many."""
        lake.ensure(*VAULT, VAULT_SCHEMA, partition_by=())
        if not self.seen:
            return 0
        given = pa.array(list(self.seen), pa.string())
        known = lake.query("select token from vault.identifier").column("token")
        new = given.filter(pc.invert(pc.is_in(given, value_set=known)))
        tokens = new.to_pylist()
        if tokens:
            kinds, values, days = zip(*(self.seen[token] for token in tokens), strict=True)
            sealed = [
                seal(key, value.encode(), token.encode())
                for token, value in zip(tokens, values, strict=True)
            ]
            columns = [tokens, kinds, [self.tokeniser.key_id] * len(tokens), sealed, days]
            lake.append(*VAULT, pa.table(
                [pa.array(c, f.type) for c, f in zip(columns, VAULT_SCHEMA, strict=True)],
                schema=VAULT_SCHEMA,
            ))
        return len(tokens)
