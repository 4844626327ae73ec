"""Who may see what: roles, their datasets and screens, and the rows that a reader's scope opens.

Rows are opened by roles: some see all; a role `region_<code>` opens one region, so that an
administrator gives and takes regions in Superset's own user list. No such role: no rows.

Rows are held twice: by the views, which are closed unless the connection opens them (`scope`), and
by Superset's own row rules (`row_rules`), which `bootstrap` sets up with the assets.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dashboards.source.labels import DATASETS
from dashboards.source.screens import SCREENS
from dashboards.views.expressions import LANGUAGES
from paylake.settings import ROOT

ALL_ROWS = "all_regions"
REGION = "region_"


@dataclass(frozen=True)
class Role:
    """A role of paylake.

    :param screens: dashboards that it opens.
    :param all_rows: whether every row is open, or only those of the reader's `region_` roles.
    :param sql_lab: whether it may write queries over its datasets.
    """

    name: str
    screens: tuple[str, ...]
    all_rows: bool
    sql_lab: bool = False


ROLES = (
    Role("management", ("overview", "overview-phone", "settlement", "merchant"), all_rows=True),
    Role("analyst", ("settlement", "merchant"), all_rows=False, sql_lab=True),
    Role("operations", tuple(screen.key for screen in SCREENS), all_rows=True),
)
SEE_ALL = frozenset({"Admin", ALL_ROWS, *(role.name for role in ROLES if role.all_rows)})

OURS = "paylake: "
REGIONS = ROOT / "dbt" / "seeds" / "region.csv"
# Datasets with rows of several regions that a role without all rows opens.
SCOPED = ("settlement_merchant", "settlement_trend", "settlement_step")


@dataclass(frozen=True)
class RowRule:
    """A row rule of Superset. Rules of one group are alternatives.

    :param roles: whom it holds for; of a base rule, whom it does not hold for.
    """

    name: str
    clause: str
    roles: tuple[str, ...]
    is_base: bool = False
    group: str = "region"


@lru_cache(maxsize=1)
def region_codes() -> tuple[str, ...]:
    """Every region that there is a role for."""
    with REGIONS.open(encoding="utf-8", newline="") as file:
        return tuple(sorted(row["region_code"] for row in csv.DictReader(file)))


def row_rules() -> list[RowRule]:
    """No row for anybody who may not see all, but those of his regions."""
    return [
        RowRule(f"{OURS}no region", "1 = 0", tuple(sorted(SEE_ALL)), is_base=True),
        *(
            RowRule(f"{OURS}region {code}", f"region_code = '{code}'", (f"{REGION}{code}",))
            for code in region_codes()
        ),
    ]


# Logins that a home is set up with; their passwords are generated.
DEMO_USERS = {
    "admin": ("Admin",),
    "management": ("management",),
    "analyst": ("analyst", "region_440000", "region_310000"),
    "operations": ("operations",),
}


def datasets_of(role: Role) -> set[str]:
    """Dataset tables that a role opens: those of its screens' charts and filters."""
    from dashboards.source.charts import BY_KEY

    names: set[str] = set()
    for screen in SCREENS:
        if screen.key in role.screens:
            names |= {BY_KEY[k].dataset for row in screen.rows for k, _, _ in row if k != "nav"}
            names |= {given.dataset for given in screen.filters}
    assert names <= set(DATASETS)
    return {f"{name}_{language}" for name in names for language in LANGUAGES}


def scope(user: Any) -> dict[str, Any]:
    """Variables that open rows to this user; the views are closed without them."""
    names = {role.name for role in getattr(user, "roles", [])}
    if names & SEE_ALL:
        return {"scope_all": True}
    regions = sorted(n.removeprefix(REGION) for n in names if n.startswith(REGION))
    return {"scope_region": regions} if regions else {}


def readable(user: Any, security_manager: Any) -> frozenset[str] | None:
    """Relations that this user may name in SQL; None for an administrator or the command line."""
    from flask import g, has_request_context

    if not has_request_context() or user is None or security_manager.is_admin():
        return None
    if "paylake_readable" not in g:
        g.paylake_readable = _readable(user, security_manager)
    return g.paylake_readable


#: Superset's rights that open a dataset, and the column of a dataset that names each.
_OPENS = {
    "catalog_access": "catalog_perm", "schema_access": "schema_perm", "datasource_access": "perm",
}  # fmt: skip


def _readable(user: Any, security_manager: Any) -> frozenset[str]:
    """What `security_manager.can_access_datasource` says of each dataset, in a few queries: asking
    it one by one makes an error for each that is closed, with all columns in it, and took most of
    a second for every chart."""
    from sqlalchemy.orm import selectinload
    from superset import db
    from superset.connectors.sqla.models import SqlaTable

    rights = (*_OPENS, "database_access")
    held = {right: security_manager.user_view_menu_names(right) for right in rights}
    everything = security_manager.can_access_all_datasources()
    tables = db.session.query(SqlaTable).options(selectinload(SqlaTable.owners))
    return frozenset(
        table.table_name.lower()
        for table in tables
        if everything
        or table.database.perm in held["database_access"]
        or any(getattr(table, column) in held[right] for right, column in _OPENS.items())
        or any(owner.id == user.id for owner in table.owners)
    )
