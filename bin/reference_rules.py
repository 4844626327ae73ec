"""The generated page of the ledger's business rules: each with the code and the tests that carry
its number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "ledger" / "data" / "rules.yml"
#: What a run of the checks said of the tests; see bin/rule_results.py.
RESULTS = ROOT / "docs" / "reference" / "rules-results.json"
NOT_YET = "no test"
_TEST = re.compile(r"^(?:async )?def (test_(d\d[a-z]?)_(\d\d)_\w+)\(", re.M)
_NAMED = re.compile(r"\b(D\d[a-z]?)\.(\d+)(?: to \1\.(\d+))?")
Table = Callable[[Sequence[str], Any], list[str]]
Head = Callable[[str, str, str], list[str]]


def rules() -> dict[str, str]:
    """Sentence by number, like `D4a.15`."""
    return yaml.safe_load(RULES.read_text("utf-8"))["rules"]


def tests() -> dict[str, list[tuple[str, str]]]:
    """(file, function) of every test that is named after a rule, by the rule's number."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, document, number in _TEST.findall(path.read_text("utf-8")):
            rule = f"D{document[1:]}.{int(number)}"
            found.setdefault(rule, []).append((path.relative_to(ROOT).as_posix(), name))
    return found


def places() -> dict[str, list[str]]:
    """Where the ledger's code names each rule: operations by their file, other files by name."""
    found: dict[str, list[str]] = {}
    ledger = ROOT / "ledger"
    for path in sorted((ledger / "data" / "operations").glob("*.yml")):
        for type_, spec in yaml.safe_load(path.read_text("utf-8"))["operations"].items():
            for rule in spec["rules"]:
                found.setdefault(rule, []).append(f"operation `{type_}` ({path.name})")
    for path in sorted(ledger.rglob("*.py")):
        for rule in _named(path.read_text("utf-8")):
            found.setdefault(rule, []).append(f"`{path.relative_to(ROOT).as_posix()}`")
    return found


def _named(text: str) -> list[str]:
    """Rules that a text names, one by one or as a range, each once."""
    named: dict[str, None] = {}
    for document, first, last in _NAMED.findall(text):
        for number in range(int(first), int(last or first) + 1):
            named[f"{document}.{number}"] = None
    return list(named)


def recorded() -> dict[str, Any]:
    """The recorded run: `commit`, `began`, and `results` by `file::test`; without one, no
    results."""
    if not RESULTS.is_file():
        return {"commit": None, "began": None, "results": {}}
    return json.loads(RESULTS.read_text("utf-8"))


def result(carried: Sequence[tuple[str, str]], results: dict[str, str]) -> str:
    """What the recorded run says of a rule's tests: how many passed, of how many."""
    if not carried:
        return NOT_YET
    said = [results.get(f"{path}::{name}", "not run") for path, name in carried]
    if "failed" in said:
        return "failed"
    passed = said.count("passed")
    if not passed:
        return "not run"
    return "passed" if passed == len(said) else f"passed {passed} of {len(said)}, others not run"


def rules_page(head: Head, table: Table) -> str:
    """The table of rules."""
    said, carried, kept, run = rules(), tests(), places(), recorded()
    done = sum(rule in carried for rule in said)
    told = (
        f"of the run of the checks that began at {run['began']}, on commit {run['commit']}; a test "
        "that was not in it (it is newer, or bears another name now) was not run"
        if run["commit"] else "no run was recorded (bin/check, then bin/record-results)"
    )
    lines = head(
        "Rules of the ledger",
        "ledger/data/rules.yml, the code, the names of the tests and rules-results.json",
        f"{len(said)} business rules are enforced in the ledger's states or at posting; {done} of "
        "them have a test that is named after them. `kept by`: the operations and files that name "
        f"the rule; templates stand in ledger/data/operations/. `result`: {told}. D0: merchant "
        "service platform; D1: payment account; D2: payment operations; D4a: operations "
        "management; D4b: receivables; D4c: emergency drill.",
    )
    lines += table(("rule", "what it says", "room", "kept by", "tests", "result"), [
        (
            rule, sentence, "ledger", "; ".join(kept.get(rule, [])),
            "; ".join(_by_file(carried.get(rule, []))),
            result(carried.get(rule, []), run["results"]),
        )
        for rule, sentence in said.items()
    ])
    return "\n".join(lines)


def _by_file(listed: list[tuple[str, str]]) -> list[str]:
    files: dict[str, list[str]] = {}
    for path, name in listed:
        files.setdefault(path, []).append(f"`{name}`")
    return [f"{path}: {', '.join(names)}" for path, names in files.items()]


PAGES: dict[str, Callable[[Head, Table], str]] = {"rules.md": rules_page}
