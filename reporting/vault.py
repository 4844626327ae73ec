"""Open identifiers of the vault for a report that shows them in clear. Nothing else opens them.

A specification names such columns in `clear_columns`; their cells hold tokens until a package is
rendered. Every opening is recorded in `ops.vault_opening` before a value is handed out, so that an
opening without a record cannot happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime

import pyarrow as pa

from paylake import ops
from paylake.crypto import unseal
from paylake.errors import PermanentFailure
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import Settings

# (report, business date, tokens) -> token: clear value
Opener = Callable[[str, date, Iterable[str]], Mapping[str, str]]
BY = "reporting"


def opener(settings: Settings) -> Opener:
    """Opens values of this home's vault."""
    return lambda report, day, tokens: open_values(settings, report, day, tokens)


def open_values(
    settings: Settings, report: str, day: date, tokens: Iterable[str]
) -> dict[str, str]:
    """The clear values of tokens, each opening recorded first.

    :raises PermanentFailure: for a token that the vault does not have.
    :raises NotVerified: when a sealed value does not open.
    """
    wanted = sorted(set(tokens))
    if not wanted:
        return {}
    rows = Lake(settings).query(
        "select token, kind, sealed_value from vault.identifier "
        "where token in (select unnest($tokens)) order by token",
        {"tokens": pa.array(wanted, pa.string()).to_pylist()},
    )
    found = {row["token"]: row for row in rows.to_pylist()}
    missing = [token for token in wanted if token not in found]
    if missing:
        raise PermanentFailure(
            f"The vault has no value for {len(missing)} of {len(wanted)} tokens of {report} {day}, "
            f"{missing[0]} among them",
            "Restore lake/vault from the backup, or ingest the delivery that brought them.",
            where="vault.identifier",
        )
    now = datetime.now(UTC)
    ops.record(
        settings,
        "vault_opening",
        [
            {
                "business_date": day,
                "purpose": report,
                "token": token,
                "kind": found[token]["kind"],
                "opened_by": BY,
                "opened_at": now,
            }
            for token in wanted
        ],
    )
    key = Keyring(settings).seal_key()
    return {
        token: unseal(key, found[token]["sealed_value"], token.encode()).decode("utf-8")
        for token in wanted
    }


def closed(report: str, day: date, tokens: Iterable[str]) -> Mapping[str, str]:
    """The opener of an office that has no vault.

    :raises PermanentFailure: always.
    """
    raise PermanentFailure(
        f"{report} shows identifiers in clear, and this office has no vault to open them from",
        "File it through `bin/paylake report` in the home that holds the vault.",
    )
