"""What goes to the banks of a date: the instruction file of bank-managed merchants; what leaves the
reserve, payouts to merchants and withdrawals of users; and the fund-movement file of self-managed
merchants, which is empty with zero control totals (rules D0.3 to D0.5, D0.42). What a freeze keeps
back is in none, also when it came after the instruction (rule D0.17).

The rows depend on the log up to the date's close alone: before it more could come, and a file that
a bank has is not called back. Each has its SM3 digest, counts and totals in a control file beside
it, signed by the ledger's key. Rows name payees, so those two files are sealed with SM4, by the
newest of the ledger's sealing keys; `unsealed` writes them out for the bank's channel.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from ledger.adapters.freezes import FREEZING, Freezes
from ledger.adapters.signed_files import write_signed
from ledger.adapters.sql_reader import SqlReader
from ledger.adapters.storage import open_reader, place
from ledger.adapters.vault import SealedVault, SealingKeys
from ledger.domain.chain import journal_of
from ledger.domain.chart import parts_of
from paylake.crypto import seal, unseal
from paylake.durable import write_private
from paylake.errors import NotVerified, PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.settings import Settings

FORMAT = "paylake-instructions/2"
COLUMNS = (
    "payout_id", "kind", "party_id", "amount_minor", "currency_code", "booking_date", "booked_at",
    "payee_account", "payee_name", "bank_code",
)
_FILES = {
    "bank": "bank_instructions", "institution": "reserve_payouts", "self": "fund_movements",
}
#: code of the pending-settlement or the user account that is paid out of -> its settlement mode
_MODES = {
    "2201": "institution", "9201": "bank", "9211": "self",
    "2101": "institution", "9101": "bank", "9111": "self",
}
_WANTED = (
    "settlement", "settlement_result", "settlement_returned", "withdrawal", "withdrawal_result",
    "reversal",
)
_SEALED = ".sealed"


@dataclass(frozen=True, slots=True)
class Written:
    """A file, its rows and its total in minor units by currency."""

    path: Path
    rows: int
    totals: dict[str, int]


def write_instructions(settings: Settings, day: date) -> list[Written]:
    """Write the files of a closed date into `<home>/ledger/instructions/<date>/`.

    :raises PermanentFailure: when the date is not closed, or a payee's account does not open
    """
    reader = open_reader(settings)
    try:
        with reader.snapshot():
            if reader.find_close(day.isoformat()) is None:
                raise PermanentFailure(
                    f"the ledger has not closed {day}", "close the date first",
                    where=place(settings),
                )
            made = _Rows(reader, SealedVault.of_home(Keyring(settings)), day)
            rows = {mode: list(made.of(mode)) for mode in ("bank", "institution")}
            kept = made.kept
    finally:
        reader.close()
    rows["self"] = []  # the institution takes no part: the books moved, no money does
    folder = settings.path("ledger", "instructions", day.isoformat())
    return [
        _write(settings, folder, day, mode, listed, kept.get(mode, []))
        for mode, listed in rows.items()
    ]


class _Rows:
    """The payouts of a date, with the payees as they were bound when the payout was booked."""

    def __init__(self, reader: SqlReader, vault: SealedVault, day: date) -> None:
        self.reader = reader
        self.vault = vault
        listed = [
            (row, orjson.loads(row[12])) for row in reader.posted_of(day.isoformat(), _WANTED)
        ]
        past, freezes = _past(listed), Freezes(reader.posted_of(day.isoformat(), FREEZING))
        self.modes: dict[int, str] = {}
        self.found = []
        #: numbers of payouts that a freeze or stop keeps back, by mode
        self.kept: dict[str, list[str]] = {}
        for row, said in listed:
            # A withdrawal with legs was paid when it was booked (first format).
            if row[6] in past or not (
                row[2] == "settlement" or (row[2] == "withdrawal" and row[1] is None)
            ):
                continue
            account_id = self._account(row)
            self.modes[row[0]] = self._mode(row, account_id)
            if row[1] is None and freezes.keep(
                row[0], str(account_id), said["currency_code"], said.get("via", "bank")
            ):
                self.kept.setdefault(self.modes[row[0]], []).append(row[6])
            else:
                self.found.append((row, said))
        self.bound = reader.find_by_business_key(sorted({
            said["destination_id"] for _, said in self.found if "destination_id" in said
        }))

    def of(self, mode: str) -> Iterator[tuple]:
        """Rows of a settlement mode, in the order of the log."""
        for row, said in self.found:
            if self.modes[row[0]] == mode:
                yield (
                    row[6], row[2], said["merchant_id" if row[2] == "settlement" else "user_id"],
                    said["amount_minor"], said["currency_code"], row[10], row[9],
                    *self._payee(said.get("destination_id")),
                )

    def _account(self, row: tuple) -> str | None:
        """The account of a payout: that its legs debit, or that its hold is on. What waited for a
        checker placed its hold when it began to wait."""
        account_id = next((leg[0] for leg in orjson.loads(row[13]) if leg[2] == "D"), None)
        account_id = account_id or _held(row[6], row[14])
        if account_id is None and row[15]:
            waited = orjson.loads(row[15])["pending"]
            for pending in self.reader.entries(waited, waited):
                account_id = _held(row[6], pending[14])
        return account_id

    @staticmethod
    def _mode(row: tuple, account_id: str | None) -> str:
        """In whose books a payout is.

        :raises PermanentFailure: when no file is for it
        """
        mode = _MODES.get(parts_of(account_id)[0]) if account_id else None
        if mode is None:
            raise PermanentFailure(
                f"{row[2]} {row[6]} (entry {row[0]}) belongs into none of the files",
                "verify the ledger: python -m ledger verify", where=account_id or "",
            )
        return mode

    def _payee(self, destination_id: str | None) -> tuple[str, str, str]:
        entry = None if destination_id is None else self.bound.get(destination_id)
        if entry is None:
            return ("", "", "")  # booked before a bound account was needed
        said = orjson.loads(entry[12])
        return (
            self._opened(said["bound_account"]), self._opened(said["bound_name"]),
            said["bank_code"],
        )

    def _opened(self, commitment: str) -> str:
        sealed = self.reader.secret(commitment)
        if sealed is None:
            raise PermanentFailure(
                f"nothing is sealed behind {commitment}", "restore the ledger from a backup"
            )
        return self.vault.reveal(commitment, *sealed)


def _past(listed: list[tuple[tuple, dict[str, Any]]]) -> set[str]:
    """Numbers of payouts of which nothing is to be sent: what the date's later entries say failed,
    came back or was answered by the bank, and what was reversed. A coming back that was reversed
    itself was none; a result that was leaves it `unknown` what the bank did, so it counts."""
    undone = {journal_of(said["journal_id"]) for row, said in listed if row[2] == "reversal"}
    past = set()
    for row, said in listed:
        reversed_ = row[1] is not None and row[1] in undone
        if row[2] == "settlement" and reversed_:
            past.add(row[6])
        elif row[2] == "withdrawal_result":
            past.add(said["withdrawal_id"])
        elif row[2] == "settlement_result" or (row[2] == "settlement_returned" and not reversed_):
            past.add(said["payout_id"])
    return past


def _held(business_key: str, effects: str) -> str | None:
    """The account on which these effects hold the amount of a payout."""
    for effect in orjson.loads(effects):
        if effect[0] == "hold" and effect[1] == business_key:
            return effect[2]["account_id"]
    return None


def _write(
    settings: Settings, folder: Path, day: date, mode: str, rows: list[tuple], kept: list[str]
) -> Written:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    data = text.getvalue().encode("utf-8")
    totals: dict[str, int] = {}
    for row in rows:
        totals[row[4]] = totals.get(row[4], 0) + row[3]
    about: dict[str, Any] = {
        "format": FORMAT, "settlement_mode": mode, "booking_date": day.isoformat(),
        "rows": len(rows), "amount_totals_minor": totals or {"CNY": 0},
        **({"kept_back": kept} if kept else {}),
    }
    path = folder / f"{_FILES[mode]}_{day:%Y%m%d}.csv"
    if mode != "self":
        path = path.with_suffix(_SEALED)
        data = _sealed(settings, path, data)
    write_signed(settings, path, data, about)
    path.chmod(0o600)
    return Written(path, len(rows), totals)


def _sealed(settings: Settings, path: Path, data: bytes) -> bytes:
    """The data sealed with the newest key; what it sealed there already and opens to the same
    stays as it is."""
    key = SealingKeys(Keyring(settings)).newest()
    if path.is_file():
        there = path.read_bytes()
        try:
            if unseal(key, there, path.name.encode()) == data:
                return there
        except NotVerified:
            pass  # sealed with an older key, or damaged: it is written anew
    return seal(key, data, path.name.encode())


def unsealed(settings: Settings, day: date, folder: Path) -> list[Path]:
    """Write a date's sealed files as CSV, for the owner alone, into a new folder: what goes over
    the bank's channel and is deleted then.

    :raises UsageFault: when the folder is there
    :raises PermanentFailure: when the files are not written yet
    :raises NotVerified: when one opens with none of the home's sealing keys
    """
    if folder.exists():
        raise UsageFault("There is something of that name", "Give another.", where=str(folder))
    source = settings.path("ledger", "instructions", day.isoformat())
    sealed = sorted(source.glob(f"*{_SEALED}"))
    if not sealed:
        raise PermanentFailure(
            f"{day} has no instruction files",
            "write them first: POST /v1/days/{date}/instructions", where=str(source),
        )
    keys = SealingKeys(Keyring(settings))
    opened = [
        (path.stem, keys.unsealed(path.read_bytes(), path.name.encode())) for path in sealed
    ]
    written = []
    for name, data in opened:
        written.append(folder / f"{name}.csv")
        write_private(written[-1], data)
    return written
