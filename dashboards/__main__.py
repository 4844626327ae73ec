"""``python -m dashboards``: generate, lint, set-up, serve, check, screenshots."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from paylake.errors import PaylakeError
from paylake.settings import Settings, load


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate", help="write dashboards/assets from the source")
    commands.add_parser("lint", help="follow every chart to its gold columns")
    for name, about in (
        ("set-up", "metadata, roles, users, assets (in the superset environment)"),
        ("ops-views", "write <home>/serving/ops.duckdb"),
        ("serve", "start Superset in the foreground (in the superset environment)"),
        ("check", "open every screen in a browser and say whether it drew"),
        ("screenshots", "take the pictures of the documentation"),
    ):
        one = commands.add_parser(name, help=about)
        one.add_argument("--home", type=Path)
        if name == "screenshots":
            one.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    return parser


def _run(given: argparse.Namespace) -> int:
    if given.command == "generate":
        from dashboards import generate

        print(f"{generate.write()} files changed")
        return 0
    if given.command == "lint":
        from dashboards import lint

        problems = lint.problems()
        print("\n".join(problems) or "every chart leads to its gold columns")
        return 1 if problems else 0
    settings = load(home=given.home)
    return _run_home(given, settings)


def _run_home(given: argparse.Namespace, settings: Settings) -> int:
    if given.command == "set-up":
        os.environ.update(settings.as_environment())
        from dashboards import environment

        os.environ.update(environment(settings))
        from dashboards import bootstrap

        print(bootstrap.run(settings))
    elif given.command == "ops-views":
        from dashboards import ops_file

        print("written" if ops_file.write(settings) else "nothing to do")
    elif given.command == "serve":
        from dashboards import command

        arguments, environ = command(settings)
        os.execve(arguments[0], arguments, environ)
    elif given.command == "check":
        from dashboards import browser

        return browser.check(settings)
    elif given.command == "screenshots":
        from dashboards import browser

        return browser.screenshots(settings, given.out)
    return 0


def main() -> int:
    given = _parser().parse_args()
    try:
        return _run(given)
    except PaylakeError as error:
        print(error.sentence(), file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
