"""The ledger's page names files that exist, and its reference is generated."""

from __future__ import annotations

import re

import yaml

from ledger.domain.refusals import REASONS
from paylake.settings import ROOT

PAGE = ROOT / "docs" / "explanation" / "ledger.md"


def test_the_page_names_files_that_exist():
    text = PAGE.read_text("utf-8")
    table = text.split("## Where to find what")[1].split("## ")[0]
    named = re.findall(r"`(ledger/[\w./*]+)`", table)
    assert len(named) > 20
    for name in named:
        assert list(ROOT.glob(name)), name


def test_every_reason_stands_in_the_reference_in_order():
    text = (ROOT / "docs" / "reference" / "ledger-refusals.md").read_text("utf-8")
    places = [text.index(f"| {n} | `{reason.code}` |") for n, reason in enumerate(REASONS, 1)]
    assert places == sorted(places)
    for reason in REASONS:
        (line,) = (row for row in text.splitlines() if f"| `{reason.code}` |" in row)
        assert reason.zh in line, reason.code


def test_every_reason_has_its_chinese_words():
    said = [reason.zh for reason in REASONS]
    assert len(said) == len(set(said)) > 60
    for reason in REASONS:
        assert re.search("[\u4e00-\u9fff]", reason.zh), reason.code
        assert not re.search("[\u4e00-\u9fff]", reason.en), reason.code
        # names of the interface stay as they are
        words = re.sub(r"JSON|\b(?:type|field|occurred_at)\b", "", reason.zh)
        assert not re.search("[A-Za-z]", words), reason.zh


def test_the_data_files_mean_the_same_to_both_yaml_parsers():
    for path in (ROOT / "ledger" / "data").rglob("*.yml"):
        text = path.read_text("utf-8")
        assert yaml.safe_load(text) == yaml.load(text, Loader=yaml.CSafeLoader), path
