"""Pure rules of the ledger: no storage, no clock, no framework."""
