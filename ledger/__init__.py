"""The embedded double-entry ledger service of paylake. See docs/explanation/ledger.md."""

from ledger import compiled

compiled.take()
