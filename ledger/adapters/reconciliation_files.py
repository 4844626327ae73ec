"""The files of reconciliations: `<home>/ledger/reconciliations/<last date>/<id>.csv`, every posting
and line with its class, each with a signed control file. The entry in the log names the digest, so
a file that is not the one that was recorded is told."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from ledger.adapters.signed_files import write_signed
from ledger.service.faults import RequestRefused
from paylake.crypto import sm3_hex
from paylake.settings import Settings

FORMAT = "paylake-reconciliation/1"


class ReconciliationFiles:
    """Those of one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def keep(self, day: str, name: str, data: bytes, about: Mapping[str, Any]) -> None:
        """Write one, with its control file.

        :param day: last date of the statement
        """
        path = self.settings.path("ledger", "reconciliations", day) / f"{name}.csv"
        write_signed(self.settings, path, data, {"format": FORMAT, **about})

    def rows(self, day: str, name: str, sm3: str) -> list[dict[str, str]]:
        """The rows of one.

        :param sm3: its digest, as the log has it
        :raises RequestRefused: `file_missing`, `file_differs`
        """
        path = self.settings.path("ledger", "reconciliations", day) / f"{name}.csv"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise RequestRefused(
                "file_missing", f"the file of {name} is not in the home: restore it", 409
            ) from None
        if sm3_hex(data) != sm3:
            raise RequestRefused(
                "file_differs", f"the file of {name} is not the one that was recorded", 409
            )
        return list(csv.DictReader(io.StringIO(data.decode())))
