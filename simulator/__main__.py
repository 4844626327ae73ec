"""`python -m simulator --home H --ledger URL`: simulate dates against a running ledger."""

from __future__ import annotations

import argparse
import json
import sys

from ledger.client import LedgerClient
from paylake import dates, settings
from paylake.errors import PaylakeError, UsageFault
from simulator.params import Params
from simulator.run import simulate


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--home", help="where the world and its deliveries land")
    parser.add_argument("--ledger", help="address of the ledger service")
    parser.add_argument("--date", help="first date to simulate (default: START)")
    parser.add_argument("--to", help="last date to simulate (default: the world's last)")
    for name in ("start", "days", "merchants", "terminals", "txns", "seed"):
        parser.add_argument(f"--{name}", help=f"the world's {name.upper()}")
    given = vars(parser.parse_args(arguments))
    try:
        chosen = settings.load(**{
            name: given[name]
            for name in ("home", "start", "days", "merchants", "terminals", "txns", "seed")
        })
        params = Params.from_settings(chosen)
        first = dates.parse_date(given["date"]) if given["date"] else params.start
        last = dates.parse_date(given["to"]) if given["to"] else params.last
        address = given["ledger"] or f"http://127.0.0.1:{chosen.ledger_port}"
        token = chosen.path("keys", "ledger.token")
        if not token.exists():
            raise UsageFault(
                "The home has no ledger token",
                "Start the ledger service of this home first.",
                where=str(token),
            )
        with LedgerClient(address, token.read_text("ascii").strip()) as client:
            done = simulate(
                chosen, client, first, last,
                lambda day, what: print(f"{day} {what}", file=sys.stderr),
            )
    except PaylakeError as error:
        print(error.sentence(), file=sys.stderr)
        return error.exit_code
    print(json.dumps(done.as_dict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
