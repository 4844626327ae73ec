"""Files sent to the running service, commands and statements of banks: by whom, and where to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path

from ledger.adapters.bank_statement_files import read_statement
from ledger.adapters.bulk_import import import_file as run
from ledger.client import LedgerClient, Signer
from ledger.domain.actors import KEY_END
from paylake.crypto import PrivateKey
from paylake.errors import UsageFault
from paylake.settings import Settings

_HOW = (
    "Set PAYLAKE_LEDGER_TOKEN or the setting ledger_token_file, or sign by --signer and --key."
)


def import_file(
    settings: Settings, file: Path, rejects: Path, progress: Callable[[int, int], None],
    signer: str | None = None, key: Path | None = None,
) -> dict[str, object]:
    """Send the rows of a file to the service of this home.

    :param signer: `operator:<id>` or `caller:<id>` that signs the requests (SM2); None: a token
    :param key: PEM file of the signer's private key
    :raises UsageFault: when it is not said who sends, or the file cannot be read
    """
    url = f"http://127.0.0.1:{settings.ledger_port}"
    kind, _, name = (signer or "").partition(":")
    begin = name + KEY_END if kind == "caller" else ""
    with LedgerClient(url, _sender(settings, signer, key)) as client:
        return asdict(run(file, client.batch, rejects, progress, begin))


def reconcile(
    settings: Settings, file: Path, account_id: str, currency_code: str | None, first: date,
    last: date, opening: int | None = None, closing: int | None = None, *, dry_run: bool = False,
    signer: str | None = None, key: Path | None = None,
) -> dict[str, object]:
    """Send a bank's statement to the service of this home; what came of it.

    :param currency_code: None: that of the account, if it is open in one alone
    :param opening, closing: balances, minor units; None: the file has them
    :raises UsageFault: when it is not said who sends, the file cannot be read or lacks a balance
    """
    said = read_statement(file)
    opening = said.opening if opening is None else opening
    closing = said.closing if closing is None else closing
    if opening is None or closing is None:
        raise UsageFault(
            f"{file.name} says no {'opening' if opening is None else 'closing'} balance",
            "Give --opening and --closing, or lines with entry_type OPENING and CLOSING.",
            where=str(file),
        )
    url = f"http://127.0.0.1:{settings.ledger_port}"
    with LedgerClient(url, _sender(settings, signer, key)) as client:
        if currency_code is None:
            currency_code = client.balance_at(account_id)["currency_code"]
        return client.reconcile(
            account_id, currency_code, first, last, opening, closing, said.lines, dry_run=dry_run
        )


def _sender(settings: Settings, signer: str | None, key: Path | None) -> str | Signer:
    """A signer; else the token of the settings; else the one that a simulated home has in clear."""
    if signer is not None or key is not None:
        if signer is None or key is None or signer.partition(":")[0] not in ("operator", "caller"):
            raise UsageFault(
                "A request is signed by a signer with a key",
                "Give --signer operator:<id> (or caller:<id>) and --key <PEM file>.",
            )
        return Signer(signer, PrivateKey.load(key))
    if settings.ledger_token:
        return settings.ledger_token
    path = Path(settings.ledger_token_file or settings.path("keys", "ledger.token"))
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault(
            f"No token of the ledger can be read: {error}", _HOW, where=str(path)
        ) from error
    if not token:
        raise UsageFault("The file of the ledger's token is empty", _HOW, where=str(path))
    return token
