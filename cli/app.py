"""The root of the command: common options, errors as sentences, exit codes.

Commands live in modules by subject and import their rooms when they are called, so that `--help`
and completion answer at once.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.output import errors
from paylake import settings as settings_module
from paylake.errors import PaylakeError
from paylake.settings import Settings

INTERNAL_ERROR = 70

# Command -> the module that has it; loaded on use.
COMMANDS = {
    "ingest": "daily", "build": "daily", "gate": "daily", "publish": "daily",
    "report": "reports", "run": "daily", "status": "daily", "maintain": "daily",
    "restate": "restate",
    "alarm": "notices", "summary": "notices", "export": "releases", "release": "releases",
    "delivery": "deliveries", "quarantine": "quarantine",
    "ledger": "ledger", "settings": "house", "up": "house", "down": "house", "doctor": "house",
    "backup": "backup", "restore": "backup", "demo": "demo", "mapped": "mapped",
}


@dataclass
class Context:
    """What every command gets: the settings, and whether errors show their stack."""

    overrides: dict[str, Any]
    debug: bool
    _settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            self._settings = settings_module.load(**self.overrides)
        return self._settings


class Lazy(click.Group):
    """A group that imports a command's module when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"cli.{COMMANDS[name]}")
        return getattr(module, name)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", type=click.Path(path_type=Path), help="Home; PAYLAKE_HOME, or var/demo.")
@click.option("--engine", help="sail, spark or sc://host:port.")
@click.option("--debug", is_flag=True, help="Show the stack of an error.")
@click.version_option(package_name=None, version="0.1.0", prog_name="paylake")
@click.pass_context
def paylake(ctx: click.Context, home: Path | None, engine: str | None, debug: bool) -> None:
    """An open, self-hosted data lakehouse for payment institutions."""
    ctx.obj = Context({"home": home, "engine": engine}, debug)


def run() -> None:
    """Call the command; an error becomes one sentence and its exit code."""
    debug = "--debug" in sys.argv
    try:
        code = paylake.main(standalone_mode=False, prog_name="paylake")
        sys.exit(code if isinstance(code, int) else 0)
    except PaylakeError as error:
        if debug:
            traceback.print_exc()
        errors.print(f"paylake: {error.sentence()}", markup=False)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        errors.print("paylake: interrupted; run the command again to go on", markup=False)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if debug:
            traceback.print_exc()
        errors.print(
            f"paylake: internal error: {type(error).__name__}: {str(error)[:500]}. "
            "Run it again with --debug and report what it shows.",
            markup=False,
        )
        sys.exit(INTERNAL_ERROR)
