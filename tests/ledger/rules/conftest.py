"""Fixtures of the HTTP tests, for the rules that are kept at the interface."""

from __future__ import annotations

from tests.ledger.test_http import ann, caller, http, token

__all__ = ["ann", "caller", "http", "token"]
