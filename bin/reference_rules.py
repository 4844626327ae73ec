"""The generated page of the ledger's business rules: each with the code and the tests that carry
its number."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "ledger" / "data" / "rules.yml"
NOT_YET = "not yet"
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


def rules_page(head: Head, table: Table) -> str:
    """The table of rules."""
    said, carried, kept = rules(), tests(), places()
    done = sum(rule in carried for rule in said)
    lines = head(
        "Rules of the ledger", "ledger/data/rules.yml, the code and the names of the tests",
        f"{len(said)} business rules are enforced in the ledger's states or at posting; {done} of "
        "them have a test that is named after them. `kept by`: the operations and files that name "
        "the rule; templates stand in ledger/data/operations/. D0: merchant service platform; "
        "D1: payment account; D2: payment operations; D4a: operations management; "
        "D4b: receivables; D4c: emergency drill.",
    )
    lines += table(("rule", "what it says", "room", "state", "kept by", "tests"), [
        (
            rule, sentence, "ledger", "tested" if rule in carried else NOT_YET,
            "; ".join(kept.get(rule, [])), "; ".join(_by_file(carried.get(rule, []))),
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
