"""Ways into the ledger: HTTP and the command line."""
