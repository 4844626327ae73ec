"""The embedded double-entry ledger service of paylake. See docs/explanation/ledger.md."""
