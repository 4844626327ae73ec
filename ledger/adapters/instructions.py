"""What goes to the banks of a date: the instruction file of bank-managed merchants; what leaves the
reserve; and the fund-movement file of self-managed merchants, which is empty with zero control
totals (rules D0.3 to D0.5, D0.42). Which entries are payouts: `instructed.py`. What a freeze keeps
back is in none, also when it came after the instruction (rule D0.17): `freezes.py`.

The rows depend on the log up to the date's close alone: before it more could come, and a file that
a bank has is not called back. Each has its SM3 digest, counts and totals in a control file beside
it, signed by the ledger's key. Rows name payees, so those two files are sealed with SM4, by the
newest of the ledger's sealing keys; `unsealed` writes them out for the bank's channel.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from ledger.adapters.freezes import kept_back
from ledger.adapters.instructed import Payout, payouts_of
from ledger.adapters.signed_files import write_signed
from ledger.adapters.sql_reader import SqlReader
from ledger.adapters.storage import open_reader, place
from ledger.adapters.vault import SealedVault, SealingKeys
from paylake.crypto import seal, unseal
from paylake.durable import named_writes, write_private
from paylake.errors import NotVerified, PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.settings import Settings

FORMAT = "paylake-instructions/3"
COLUMNS = (
    "payout_id", "kind", "party_id", "amount_minor", "currency_code", "booking_date", "booked_at",
    "payee_account", "payee_name", "bank_code", "payee_id",
)
_FILES = {
    "bank": "bank_instructions", "institution": "reserve_payouts", "self": "fund_movements",
}
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
            payouts = payouts_of(reader, day)
            kept = kept_back(reader, day, payouts)
            told = [payout for payout in payouts if payout.number not in kept]
            payees = _Payees(reader, SealedVault.of_home(Keyring(settings)), told)
            rows = {
                mode: [payees.row(payout) for payout in told if payout.mode == mode]
                for mode in ("bank", "institution")
            }
    finally:
        reader.close()
    rows["self"] = []  # the institution takes no part: the books moved, no money does
    folder = settings.path("ledger", "instructions", day.isoformat())
    return [
        _write(settings, folder, day, mode, listed, [
            payout.number for payout in payouts if payout.mode == mode and payout.number in kept
        ])
        for mode, listed in rows.items()
    ]


class _Payees:
    """Whom the payouts of a date go to, as they were bound when the payout was booked."""

    def __init__(self, reader: SqlReader, vault: SealedVault, payouts: Iterable[Payout]) -> None:
        self.reader = reader
        self.vault = vault
        self.bound = reader.find_by_business_key(sorted({
            payout.payee_id for payout in payouts if payout.is_bound and payout.payee_id
        }))

    def row(self, payout: Payout) -> tuple:
        """A payout's row of its file."""
        return (
            payout.number, payout.kind, payout.party_id, payout.amount_minor,
            payout.currency_code, payout.booking_date, payout.booked_at, *self._account(payout),
            payout.payee_id,
        )

    def _account(self, payout: Payout) -> tuple[str, str, str]:
        """Account, name and bank; empty where the ledger knows none: of what is no bound account,
        and of what was booked before one was needed."""
        entry = self.bound.get(payout.payee_id) if payout.is_bound else None
        if entry is None:
            return ("", "", "")
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
    the bank's channel and is deleted then. The folder appears when all of them are in it.

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
    partial = folder.with_name(f".{folder.name}.partial")
    with named_writes(folder):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            for name, data in opened:
                write_private(partial / f"{name}.csv", data)
            partial.rename(folder)
        finally:  # nothing in clear stays where only half of it was written
            shutil.rmtree(partial, ignore_errors=True)
    return [folder / f"{name}.csv" for name, _ in opened]
