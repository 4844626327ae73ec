"""The pins that the documentation explains are the pins of the locks."""

from __future__ import annotations

import re

from paylake.settings import ROOT

PIN = re.compile(r"^\| `([\w-]+)==([\w.]+)` \| ([\w, ]+) \|", re.M)


def test_explained_pins_are_locked():
    text = (ROOT / "docs" / "reference" / "stack.md").read_text("utf-8")
    pins = PIN.findall(text)
    assert len(pins) >= 10
    for name, version, environments in pins:
        for environment in environments.split(", "):
            lock = (ROOT / "requirements" / f"{environment}.txt").read_text("utf-8")
            pin = rf"^{re.escape(name)}(\[[^]]*\])?=={re.escape(version)} "
            assert re.search(pin, lock, re.M), f"{name}=={version} is not in {environment}.txt"
