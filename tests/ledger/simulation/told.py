"""What a ledger makes of drawn histories, as one line a seed: for comparing two programs.

`python -m tests.ledger.simulation.told HOME FOLDER SEEDS`, on a prepared home; the first line says
whether the compiled core ran.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import orjson

from ledger import compiled
from ledger.domain.chain import sm3
from ledger.service.ledger import Job
from tests.ledger.simulation.history import START, History
from tests.ledger.simulation.run import Opened


def told(prepared: Path, folder: Path, seed: int) -> str:
    """Number of entries, digest of the log, digest of all answers, digest of all balances."""
    opened = Opened(prepared, folder)
    answers: list[object] = [opened.do("clock", START.isoformat())]
    for kind, what in History(random.Random(seed)).steps():
        if kind == "reopen":
            opened.ledger.close()
            opened.open()
        elif kind == "units":
            for unit in what[1]:
                answers += opened.ledger.apply_all([Job(sent, actor, "") for actor, sent in unit])
        else:
            answers.append(opened.do(kind, what))
    head, state = opened.ledger.head, opened.ledger.state
    balances = sorted((a.account_id, a.currency_code, a.balance, a.held, a.frozen, a.status)
                      for a in state.all_accounts())
    opened.ledger.close()
    shutil.rmtree(folder)
    return " ".join([
        str(head.sequence), head.digest.hex(),
        *(sm3(orjson.dumps(found, default=str)).hex() for found in (answers, balances)),
    ])


if __name__ == "__main__":
    print("compiled" if compiled.in_use else "interpreted")
    for number in range(int(sys.argv[3])):
        print(told(Path(sys.argv[1]), Path(sys.argv[2]), number))
