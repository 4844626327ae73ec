"""The console's texts in both languages, from `texts.yml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("zh", "en")
#: As the `lang` attribute has them.
TAGS = {"zh": "zh-Hans-CN", "en": "en"}
NAMES = {"zh": "中文", "en": "English"}


@cache
def load() -> dict[str, dict[str, dict[str, str]]]:
    """Section -> key -> language -> text."""
    return yaml.safe_load(Path(__file__).with_name("texts.yml").read_text("utf-8"))


def word(language: str, key: str, **values: Any) -> str:
    """A sentence or label of the section `words`, with values put in."""
    text = load()["words"][key][language]
    return text.format(**values) if values else text


def label(language: str, section: str, key: Any) -> str | None:
    """The label of a value; None when it is a code that has none."""
    entry = load()[section].get(key) if isinstance(key, str) else None
    return None if entry is None else entry[language]


def choose(asked: str | None, kept: str | None, accepted: str) -> str:
    """The language of a page: asked for in its address, kept from before, or the first of the
    browser's that there is; Chinese otherwise."""
    for wanted in (asked, kept, *(part.strip()[:2].lower() for part in accepted.split(","))):
        if wanted in LANGUAGES:
            return wanted
    return LANGUAGES[0]
