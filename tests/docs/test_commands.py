"""Commands that pages quote exist, with the options that they are quoted with."""

from __future__ import annotations

import re
import shlex
import subprocess

import click
import pytest

from cli.app import paylake
from paylake.settings import ROOT
from tests.docs.test_links import PAGES

# A command runs to the end of its line, of its inline code, or to what the shell takes.
QUOTED = re.compile(r"(?<![\w/.])(bin/paylake [^`\n]*|make [a-z-]+)")
FENCES = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
INLINE = re.compile(r"`([^`\n]+)`")
# Words of a page's prose that stand for a command's name.
PLACEHOLDERS = {"COMMAND", "…"}


def quoted() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        if page.name == "commands.md":
            continue  # generated from the commands themselves
        pieces = [body for kind, body in FENCES.findall(text) if kind in ("sh", "")]
        pieces += INLINE.findall(FENCES.sub("", text))
        pieces += re.findall(r"^    (bin/paylake .*)$", text, re.M)
        for piece in pieces:
            for command in QUOTED.findall(piece.replace("\\\n", " ")):
                found.append((str(page.relative_to(ROOT)), command.strip()))
    return sorted(set(found))


COMMANDS = quoted()


def checked(words: list[str]) -> None:
    """Follow groups to the command and let it parse its words; values are not looked at."""
    command: click.Command = paylake
    context = click.Context(paylake, info_name="bin/paylake", **paylake.context_settings)
    _, words, _ = paylake.make_parser(context).parse_args(words)
    while isinstance(command, click.Group) and words and words[0] not in PLACEHOLDERS:
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name!r}"
        command, context = found, click.Context(found, info_name=name, parent=context)
        _, words, _ = command.make_parser(context).parse_args(words)


def test_there_are_commands_to_check():
    assert len([c for _, c in COMMANDS if c.startswith("bin/paylake")]) > 25


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda v: str(v)[:60])
def test_quoted_command_exists(page, command):
    if command.startswith("make "):
        target = command.split()[1]
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page}: there is no make target {target!r}"
        return
    words = re.sub(r"\[[^\]]*\]|[|&;>].*", "", command.removeprefix("bin/paylake "))
    try:
        checked(shlex.split(words))
    except click.UsageError as error:
        pytest.fail(f"{page}: {command!r}: {error.format_message()}")


@pytest.mark.parametrize(
    "words", [["nothing"], ["release", "nothing"], ["status", "--nothing"]]
)
def test_the_check_can_fail(words):
    with pytest.raises((click.UsageError, AssertionError)):
        checked(words)
