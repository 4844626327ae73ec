"""What became of the tests that are named after a business rule in a run of the checks.

`bin/check` leaves a result file (JUnit XML) of each run in `var/check`; `bin/record-results` keeps
what it says of those tests, with the commit that was checked, in
`docs/reference/rules-results.json`, from which the page of rules is made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
from reference_rules import RESULTS, ROOT, tests

#: The worst of what the parameters of a test gave counts.
_ORDER = ("passed", "skipped", "failed")


def read(files: list[Path]) -> dict[str, str]:
    """Outcome by `file::test` of the tests that are named after a rule."""
    named = {f"{path}::{name}" for listed in tests().values() for path, name in listed}
    found: dict[str, str] = {}
    for file in files:
        for case in ElementTree.parse(file).getroot().iter("testcase"):
            path = case.get("classname", "").replace(".", "/") + ".py"
            name = f"{path}::{case.get('name', '').partition('[')[0]}"
            if name in named:
                outcome = _outcome(case)
                before = found.get(name, "passed")
                found[name] = max(before, outcome, key=_ORDER.index)
    return dict(sorted(found.items()))


def _outcome(case: ElementTree.Element) -> str:
    said = {child.tag for child in case}
    if said & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in said else "passed"


def began(files: list[Path]) -> str:
    """When the first of the runs began."""
    return min(
        str(suite.get("timestamp", ""))[:19] for file in files
        for suite in ElementTree.parse(file).getroot().iter("testsuite")
    )


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
def main(files: tuple[Path, ...]) -> None:
    """Keep the results of the last run of the checks (default: every file of var/check)."""
    listed = list(files) or sorted((ROOT / "var" / "check").glob("*.xml"))
    if not listed:
        raise click.ClickException("there is no result file; run bin/check first")
    if _git("status", "--porcelain", "--untracked-files=no"):
        raise click.ClickException("results are of a commit: commit, run bin/check, then record")
    found = read(listed)
    if not found:
        raise click.ClickException("no test in these files is named after a rule")
    document: dict[str, Any] = {
        "commit": _git("rev-parse", "--short=12", "HEAD"), "began": began(listed),
        "results": found,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    click.echo(f"{len(found)} tests of rules, of commit {document['commit']}: {RESULTS}")


if __name__ == "__main__":
    sys.exit(main())
