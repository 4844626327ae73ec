"""Every word in both languages; colours that can be read."""

from __future__ import annotations

import re

import yaml

from ledger.adapters.data_files import (
    DATA,
    load_hold_kinds,
    load_operations,
    load_suspension_grounds,
)
from ledger.domain.chart import BOOKS, SIDES
from ledger.domain.fields import COMMON
from ledger.domain.operations import CLASSES
from ledger.entrypoints.console import render, texts

#: Values that are codes in both languages.
CODE = re.compile(r"[TD]\+\d|\d+")


def test_every_text_has_both_languages():
    for section, entries in texts.load().items():
        for key, entry in entries.items():
            assert set(entry) == {"zh", "en"}, (section, key)
            assert entry["zh"].strip() and entry["en"].strip(), (section, key)
            assert sorted(re.findall(r"{\w+}", entry["zh"])) == sorted(
                re.findall(r"{\w+}", entry["en"])
            ), (section, key)
            without = re.sub(r"{\w+}", "", entry["zh"])
            assert not re.search("[A-Za-z]", without), (section, key, entry["zh"])
            assert not re.search("[\u4e00-\u9fff]", entry["en"]), (section, key)


def test_every_field_choice_and_component_of_the_data_has_a_text():
    known = texts.load()
    operations = load_operations()
    fields = {f for o in operations.by_type.values() for f in o.form.fields} | set(COMMON)
    assert len(fields) > 90
    assert {f.name for f in fields} - set(known["fields"]) == set()
    choices = {value for f in fields for value in f.of if not CODE.fullmatch(value)}
    assert choices - set(known["choices"]) == set()
    components = set()
    for path in (DATA / "operations").glob("*.yml"):
        for operation in yaml.safe_load(path.read_text("utf-8"))["operations"].values():
            components |= {leg["component"] for leg in operation.get("legs", ())}
    assert len(components) > 20
    assert components - set(known["components"]) == set()
    assert set(known["books"]) == set(BOOKS) and set(known["kinds"]) == set(SIDES)
    assert set(known["classes"]) == set(CLASSES)
    for said in load_suspension_grounds().values():
        assert not re.search("[A-Za-z]", said["zh"]), said
        assert not re.search("[\u4e00-\u9fff]", said["en"]), said
    for named in (*operations.by_type.values(), *load_hold_kinds().values()):
        assert not re.search("[A-Za-z]", named.zh), named.zh


def test_every_word_that_a_template_asks_for_is_there_and_none_is_unused():
    words = set(texts.load()["words"])
    source = "".join(
        path.read_text("utf-8")
        for path in (*render.FOLDER.glob("templates/*.html"), *render.FOLDER.glob("*.py"))
    )
    asked = set(re.findall(r"\bt\('(\w+)'(?! ~)", source))
    assert len(asked) > 150 and asked <= words
    stems = ("nav_", "duration", "head_", "home_", "file_", "value_date_", "known_at_")
    unused = {
        word for word in words
        if not re.search(rf"['\"]{word}['\"]", source) and not word.startswith(stems)
        and not word.endswith(("_what", "_next"))
    }
    assert unused == set()


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_contrast_aa():
    style = (render.FOLDER / "static" / "console.css").read_text("utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", style))
    colours["paper"] = "#ffffff"
    assert len(colours) >= 10
    grounds = [colours["paper"], colours["ground"], "#e8edf2", "#f0f3f6"]
    pairs = [(colours[n], g) for n in ("ink", "soft", "blue", "amber", "red", "green")
             for g in grounds]
    pairs += [(colours[n], colours["amber-ground"]) for n in ("amber", "ink")]
    pairs += [("#ffffff", colours["blue"]), ("#ffffff", "#083d7c")]
    for front, back in pairs:
        light, dark = sorted((_luminance(front), _luminance(back)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)
    used = set(re.findall(r"#[0-9a-f]{6}\b|#[0-9a-f]{3}\b", style))
    assert used <= {*colours.values(), *grounds, "#083d7c", "#fff"}, "a colour no pair tests"
