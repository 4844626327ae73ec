"""A whole request (not one command in it) that is refused, or that the storage fails."""

from __future__ import annotations

from paylake.errors import DiskFull, EnvironmentFault, TransientFault

#: Of a request these are the storage's: nothing was written, and it can be sent again.
STORAGE_FAULTS = (TransientFault, DiskFull, EnvironmentFault)


class RequestRefused(Exception):
    """`reason` is a stable code, `http_status` what the HTTP entry point answers."""

    def __init__(self, reason: str, detail: str, http_status: int = 422) -> None:
        self.reason = reason
        self.detail = detail
        self.http_status = http_status
        super().__init__(f"{reason}: {detail}")
