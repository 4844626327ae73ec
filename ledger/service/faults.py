"""Refusals of a whole request (not of one command in it)."""

from __future__ import annotations


class RequestRefused(Exception):
    """`reason` is a stable code, `http_status` what the HTTP entry point answers."""

    def __init__(self, reason: str, detail: str, http_status: int = 422) -> None:
        self.reason = reason
        self.detail = detail
        self.http_status = http_status
        super().__init__(f"{reason}: {detail}")
