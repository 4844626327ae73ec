"""Settings: one list, each with its default, its environment variable and its origin.

Precedence: default < ``<home>/paylake.toml`` < environment (``PAYLAKE_<NAME>``) < an explicit
argument. `bin/paylake settings` prints every one with where it came from.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from paylake.errors import UsageFault

ROOT = Path(__file__).resolve().parents[1]


_HOME = ROOT / "var" / "demo"


def _setting(default: Any, about: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"about": about, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Paths are absolute, ports are on `listen`."""

    home: Path = _setting(_HOME, "where everything that runs lands")
    lake: str = _setting(
        "", "s3://bucket/prefix of an object store; the folder lake of the home by default"
    )
    engine: str = _setting("sail", "sail, spark, or sc://host:port")
    engine_port: int = _setting(15002, "Spark Connect server of the engine")
    ledger_port: int = _setting(8701, "HTTP of the ledger service")
    ledger_database: str = _setting(
        "", "postgresql://user:password@host:port/database of the ledger; SQLite in the home by "
        "default", secret=True,
    )
    ledger_token: str = _setting(
        "", "bearer token with which a file of commands is sent to the ledger service", secret=True
    )
    ledger_token_file: str = _setting(
        "", "file that holds it, instead; keys/ledger.token of the home by default"
    )
    ledger_log: str = _setting(
        "text", "text or json: the ledger service's own log, in JSON with a line a request"
    )
    ledger_log_file: str = _setting("", "file that it is written to; standard error by default")
    airflow_port: int = _setting(8780, "Airflow API server and UI")
    superset_port: int = _setting(8788, "Superset")
    listen: str = _setting("127.0.0.1", "address that ledger and Superset listen on")
    superset_database: str = _setting(
        "", "SQLAlchemy address of Superset's own database; SQLite in the home by default",
        secret=True,
    )
    superset_cache: str = _setting(
        "", "redis:// address of Superset's data cache; files in the home by default", secret=True
    )
    zone: str = _setting("Asia/Shanghai", "time zone of business dates")
    cutoff: str = _setting("23:00", "wall-clock time at which the next business date begins")
    run_time: str = _setting("08:00", "run time of a date, on the following calendar day")
    currency: str = _setting("CNY", "currency of amounts that name none")
    start: str = _setting("2026-09-12", "first simulated business date")
    days: int = _setting(30, "simulated business dates")
    merchants: int = _setting(300, "simulated merchants")
    terminals: int = _setting(900, "simulated terminals")
    txns: int = _setting(10_000, "simulated card and code payments a day")
    seed: int = _setting(20260912, "seed of the simulation")
    lease_wait_seconds: int = _setting(600, "how long a writer waits for the lease")
    reserve_account: str = _setting(
        "", "account of the reserve deposit; the reserve-fund check prints it masked"
    )
    reserve_account_type: str = _setting("备付金集中存管账户", "what kind of account that is")
    reserve_item_owner: str = _setting("", "who clears un-arrived items, on the reserve-fund check")
    reserve_checker: str = _setting("", "who checks the reserve-fund check; empty: a line to sign")
    reserve_approver: str = _setting("", "who approves it; empty: a line to sign")
    alarm_webhook: str = _setting("", "address that alarms are posted to as JSON; none by default")
    alarm_mail_to: str = _setting("", "addresses that alarms are mailed to, with commas between")
    alarm_mail_from: str = _setting("paylake@localhost", "sender of these mails")
    smtp_host: str = _setting("", "mail server that takes them")
    smtp_port: int = _setting(25, "its port")
    smtp_tls: str = _setting(
        "offered", "offered (STARTTLS where the server has it), starttls, tls (from the first byte)"
    )
    smtp_ca_file: str = _setting("", "certificate authority of the mail server; the system's own")
    smtp_user: str = _setting("", "login on the mail server; none by default")
    smtp_password: str = _setting("", "its password", secret=True)
    smtp_password_file: str = _setting("", "file that holds the password, instead")
    summary_language: str = _setting("zh", "language of the morning summary that is sent: zh, en")
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def origin(self, name: str) -> str:
        """Where a setting's value came from: ``default``, a file, or an environment variable."""
        return self.origins.get(name, "default")

    def path(self, *parts: str) -> Path:
        """A path below the home."""
        return self.home.joinpath(*parts)

    def as_environment(self) -> dict[str, str]:
        """The environment variables that give a child process these settings, but for secrets."""
        return {
            f"PAYLAKE_{f.name.upper()}": str(getattr(self, f.name))
            for f in fields(self)
            if f.name != "origins" and not f.metadata["secret"]
        }

    def shown(self, name: str) -> str:
        """A setting as people may see it: of a secret one, only whether it is set."""
        value = str(getattr(self, name))
        secret = {f.name: f.metadata.get("secret", False) for f in fields(self)}[name]
        return "(set, not shown)" if secret and value else value


def describe() -> list[tuple[str, str, Any]]:
    """Each setting as (name, about, default)."""
    return [
        (f.name, f.metadata["about"], f.default) for f in fields(Settings) if f.name != "origins"
    ]


def _convert(name: str, value: Any, origin: str) -> Any:
    kind = {f.name: type(f.default) for f in fields(Settings) if f.name != "origins"}[name]
    if issubclass(kind, Path):
        return Path(value).expanduser().absolute()
    if kind is int:
        try:
            return int(value)
        except ValueError:
            raise UsageFault(
                f"Setting {name} must be a whole number, got {value!r}",
                "Correct it, or remove it to get the default.",
                where=origin,
            ) from None
    return str(value)


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings of one home.

    :param environ: environment to read, the process's own by default.
    :param overrides: explicit values (a command's options); None means not given.
    :raises UsageFault: for an unknown name in the file or a value of the wrong kind.
    """
    environ = os.environ if environ is None else environ
    known = {f.name for f in fields(Settings)} - {"origins"}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def take(name: str, value: Any, origin: str) -> None:
        values[name] = _convert(name, value, origin)
        origins[name] = origin

    def from_environment() -> None:
        for name in known:
            variable = f"PAYLAKE_{name.upper()}"
            if environ.get(variable):
                take(name, environ[variable], f"environment {variable}")

    from_environment()
    if overrides.get("home") is not None:
        take("home", overrides["home"], "argument")
    home = values.get("home", Settings.home)
    file = home / "paylake.toml"
    if file.is_file():
        for name, value in tomllib.loads(file.read_text("utf-8")).items():
            if name not in known:
                raise UsageFault(
                    f"Unknown setting {name!r}",
                    "`bin/paylake settings` lists the known ones.",
                    where=str(file),
                )
            if name not in values and name != "home":
                take(name, value, f"file {file}")
    for name, value in overrides.items():
        if value is not None:
            take(name, value, "argument")
    settings = Settings(**values, origins=origins)
    if settings.engine not in ("sail", "spark") and not settings.engine.startswith("sc://"):
        raise UsageFault(
            f"Unknown engine {settings.engine!r}",
            "Use sail, spark or sc://host:port.",
            where=settings.origin("engine"),
        )
    if settings.ledger_log not in ("text", "json"):
        raise UsageFault(
            f"The ledger's log cannot be {settings.ledger_log!r}",
            "Use text or json.",
            where=settings.origin("ledger_log"),
        )
    if settings.lake and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[\w.=-]+)+/?", settings.lake):
        raise UsageFault(
            f"The lake cannot be at {settings.lake!r}",
            "Use s3://bucket/prefix (letters, digits, . _ - =), or leave it out: the home's own.",
            where=settings.origin("lake"),
        )
    return settings
