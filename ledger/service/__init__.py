"""Use cases of the ledger: one unit of work each, over the ports of `ports.py`."""
