"""Prepare a home's Superset in one process: metadata, roles, users, assets.

Runs inside the superset environment. What was done is remembered by a digest of everything it
depends on; when that is unchanged there is nothing to do, and Superset is not even imported.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from dashboards import access, generate, ops_file
from dashboards.views.expressions import LANGUAGES
from paylake.durable import write_private
from paylake.settings import Settings

LOGINS = "logins.json"
# Rights of Superset's own roles that readers of released figures do not get.
NOT_FOR_READERS = {
    ("can_write", "Chart"),
    ("can_write", "Dashboard"),
    ("can_write", "Dataset"),
    ("can_export", "Chart"),
    ("can_export", "Dashboard"),
    ("can_export", "Dataset"),
}


def _digest(settings: Settings) -> str:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for file in sorted([*here.glob("*.py"), *generate.ASSETS.rglob("*.yaml")]):
        digest.update(f"{file.relative_to(here)}\0".encode() + file.read_bytes())
    key = settings.path("keys", "superset.key")
    digest.update(key.read_bytes() if key.exists() else b"absent")
    digest.update(json.dumps(_known(settings), sort_keys=True).encode())
    return digest.hexdigest()


def run(settings: Settings) -> str:
    """Set up or bring up to date.

    :returns: one line that says what was done.
    """
    home = settings.path("superset")
    mark = home / "set-up.json"
    wrote_ops = ops_file.write(settings)
    # A mark in the home says nothing about a database that lives elsewhere: set that up each time.
    if not settings.superset_database and (home / "superset.db").exists() and mark.exists():
        remembered = json.loads(mark.read_text("utf-8"))
        if remembered.get("digest") == _digest(settings):
            return "ops views renewed" if wrote_ops else "nothing to do"
        mark.unlink()
    home.mkdir(parents=True, exist_ok=True)
    _set_up(settings)
    partial = mark.with_name(".set-up.json")
    partial.write_text(json.dumps({"digest": _digest(settings)}), "utf-8")
    partial.replace(mark)
    dashboards = len(list((generate.ASSETS / "dashboards").glob("*.yaml")))
    return f"{dashboards} dashboards, {len(access.ROLES)} roles, {len(access.DEMO_USERS)} users"


def _set_up(settings: Settings) -> None:
    turn = ExitStack()
    if not settings.superset_database and os.access(sys.prefix, os.W_OK):
        turn.enter_context(_turn())
    started = _start(settings)
    if started:
        turn.close()  # nothing more to wait for
    from superset.app import create_app

    app = create_app()
    with turn, app.app_context():
        import superset
        from flask_migrate import upgrade
        from superset import appbuilder, db, security_manager

        if not started:
            upgrade(directory=str(Path(superset.__file__).with_name("migrations")))
            appbuilder.add_permissions(update_perms=True)
            security_manager.sync_role_definitions()
            db.session.commit()
            _keep_start(settings)
            turn.close()
        _region_roles(security_manager)
        logins = _users(settings, security_manager, {"admin": ("Admin",)})
        _import(security_manager)
        _remove_retired(db)
        _roles(db, security_manager)
        _row_rules(db, security_manager)
        logins |= _users(settings, security_manager, access.DEMO_USERS)
        db.session.commit()
        _remember(settings, logins)


def _start_file() -> Path:
    """Superset's empty metadata: its migrated tables, its own rights and roles, nothing of any
    home. They are the same for each home of an environment and half of the work of setting one
    up, so the first one leaves them beside the environment; the name says what made them."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    return Path(sys.prefix) / "paylake-metadata" / f"{digest.hexdigest()[:16]}.db"


@contextmanager
def _turn() -> Iterator[None]:
    """Of two homes that are set up at once, the second waits for what the first leaves."""
    folder = _start_file().parent
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _start(settings: Settings) -> bool:
    """Begin a new home with the empty metadata, where there are some."""
    target, start = settings.path("superset", "superset.db"), _start_file()
    if settings.superset_database or target.exists() or not start.exists():
        return False
    partial = target.with_name(".superset.db")
    shutil.copyfile(start, partial)
    partial.replace(target)
    return True


def _keep_start(settings: Settings) -> None:
    """Leave them for the next home, if the environment may be written to and nobody has logged
    in: an older home that is brought up to date has more than that."""
    start = _start_file()
    if settings.superset_database or start.exists() or not os.access(sys.prefix, os.W_OK):
        return
    with closing(sqlite3.connect(settings.path("superset", "superset.db"))) as made:
        if made.execute("select exists (select 1 from ab_user)").fetchone()[0]:
            return
        partial = start.with_name(f".{os.getpid()}-{start.name}")
        with closing(sqlite3.connect(partial)) as kept:
            made.backup(kept)
        partial.replace(start)


def _region_roles(manager: Any) -> None:
    wanted = {access.ALL_ROWS} | {f"{access.REGION}{code}" for code in access.region_codes()}
    for name in sorted(wanted):
        if manager.find_role(name) is None:
            manager.add_role(name)


def _import(manager: Any) -> None:
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.utils.core import override_user

    contents = {
        str(path.relative_to(generate.ASSETS)): path.read_text("utf-8")
        for path in sorted(generate.ASSETS.rglob("*.yaml"))
    }
    with override_user(manager.find_user("admin")):
        ImportAssetsCommand(contents, overwrite=True).run()


def _remove_retired(db: Any) -> None:
    """Importing deletes nothing: what paylake no longer ships goes, what people made stays."""
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    shipped = {path.stem for path in generate.ASSETS.rglob("*.yaml")}
    for model in (Dashboard, Slice):
        for item in db.session.query(model).filter_by(is_managed_externally=True):
            if str(item.uuid) not in shipped:
                db.session.delete(item)


def _roles(db: Any, manager: Any) -> None:
    from superset.connectors.sqla.models import SqlaTable

    tables = {table.table_name: table for table in db.session.query(SqlaTable)}

    def permission(name: str, on: str) -> Any:
        return manager.find_permission_view_menu(name, on) or manager.add_permission_view_menu(
            name, on
        )

    for role in access.ROLES:
        bases = ["Gamma", "sql_lab"] if role.sql_lab else ["Gamma"]
        wanted = {p for base in bases for p in manager.find_role(base).permissions}
        wanted = {p for p in wanted if (p.permission.name, p.view_menu.name) not in NOT_FOR_READERS}
        wanted |= {
            permission("datasource_access", tables[name].perm) for name in access.datasets_of(role)
        }
        made = manager.find_role(role.name) or manager.add_role(role.name)
        made.permissions = list(wanted)
    db.session.commit()


def _row_rules(db: Any, manager: Any) -> None:
    """Superset's own row rules as `access.row_rules` lists them; others of ours are removed."""
    from superset.connectors.sqla.models import RowLevelSecurityFilter, SqlaTable
    from superset.utils.core import RowLevelSecurityFilterType as Kind

    names = {f"{dataset}_{language}" for dataset in access.SCOPED for language in LANGUAGES}
    tables = [t for t in db.session.query(SqlaTable) if t.table_name in names]
    present = {rule.name: rule for rule in db.session.query(RowLevelSecurityFilter)}
    wanted = {rule.name: rule for rule in access.row_rules()}
    for name, found in present.items():
        if name.startswith(access.OURS) and name not in wanted:
            db.session.delete(found)
    for name, rule in wanted.items():
        made = present.get(name) or RowLevelSecurityFilter(name=name)
        made.filter_type = (Kind.BASE if rule.is_base else Kind.REGULAR).value
        made.clause, made.group_key = rule.clause, rule.group
        made.roles = [manager.find_role(role) for role in rule.roles]
        made.tables = tables
        db.session.add(made)
    db.session.commit()


def _users(
    settings: Settings, manager: Any, users: dict[str, tuple[str, ...]]
) -> dict[str, dict[str, Any]]:
    """Make the logins that are missing, each with a password of its own.

    :returns: name → password of those made now.
    """
    known = _known(settings)
    made: dict[str, dict[str, Any]] = {}
    for name, role_names in users.items():
        roles = [manager.find_role(role) for role in role_names]
        password = known.get(name, {}).get("password") or secrets.token_urlsafe(12)
        user = manager.find_user(name)
        if user is None:
            mail = f"{name}@paylake.example"
            user = manager.add_user(name, name, "demo", mail, roles, password=password)
        elif name not in known:
            manager.reset_password(user.id, password)
        made[name] = {"password": password, "roles": list(role_names), "demo": True}
    return made


def _known(settings: Settings) -> dict[str, Any]:
    file = settings.path("keys", LOGINS)
    return json.loads(file.read_text("utf-8")).get("superset", {}) if file.exists() else {}


def _remember(settings: Settings, logins: dict[str, dict[str, Any]]) -> None:
    """Write the logins beside those of other services, for the owner alone."""
    file = settings.path("keys", LOGINS)
    everything = json.loads(file.read_text("utf-8")) if file.exists() else {}
    everything["superset"] = logins
    text = json.dumps(everything, indent=2, ensure_ascii=False) + "\n"
    if not file.exists() or file.read_text("utf-8") != text:
        write_private(file, text.encode())
