"""`python -m ledger`."""

from ledger.entrypoints.cli import run

if __name__ == "__main__":
    run()
