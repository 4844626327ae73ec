"""Figures of the ledger: posting over HTTP, verifying, balances of the past; beside a plain
SQLite program that books the same payments, in the same run."""
