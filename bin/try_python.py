"""One candidate of `bin/python-of`: prints what it lacks, how quick it is, and where it is.

Runs in any Python 3, before anything is installed. Ends with code 1 in a version that paylake does
not run on. What is lacking: 2 without `ensurepip` (Debian's python3-venv), with which no
environment can be made; 1 without the headers (python3-dev), with which the ledger's core cannot
be compiled.
"""

import sys
import time


def lacking():
    from importlib.util import find_spec
    from pathlib import Path
    from sysconfig import get_path

    if find_spec("ensurepip") is None:
        return 2
    return 0 if Path(get_path("include"), "Python.h").is_file() else 1


def milliseconds():
    """The best of some rounds of what interpreters do all day: names, lists, texts."""
    best = 1e9
    for _ in range(15):
        start = time.perf_counter()
        for number in range(20000):
            row = {"number": number, "text": str(number), "pair": [number, number]}
            values = (row["number"], row["text"], tuple(row["pair"]))
            ",".join([values[1]] * 3)
        best = min(best, time.perf_counter() - start)
    return best * 1000


if __name__ == "__main__":
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        sys.exit(1)
    print(lacking(), round(milliseconds(), 2), getattr(sys, "_base_executable", sys.executable))
