"""Superset's configuration for one home, driven by the home's settings.

``SUPERSET_CONFIG_PATH`` points here; ``PAYLAKE_HOME``, ``PAYLAKE_SUPERSET_PORT`` and the other
settings come from the environment (`dashboards.command`).
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from superset import config as superset_defaults
from superset.security import SupersetSecurityManager

from dashboards import access, carry, rights, secret_key, wording
from dashboards.source.charts import AMBER, BLUE, RED, SERIES
from paylake.settings import load

_settings = load()
_home = _settings.path("superset")

APP_NAME = "paylake"
SECRET_KEY = secret_key(_settings)
SQLALCHEMY_DATABASE_URI = (
    _settings.superset_database
    or f"sqlite:///{_home / 'superset.db'}?check_same_thread=false"
)
# Two homes on one host must not share a login.
SESSION_COOKIE_NAME = f"paylake_{_settings.superset_port}"
SESSION_COOKIE_SAMESITE = "Lax"
WTF_CSRF_ENABLED = True
RATELIMIT_ENABLED = True
RATELIMIT_STORAGE_URI = _settings.superset_cache or "memory://"
PREVENT_UNSAFE_DB_CONNECTIONS = True
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    # No outside images: they stop the telemetry pixel, too.
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
THEME_FONT_URL_ALLOWED_DOMAINS: list[str] = []
FEATURE_FLAGS = {"ALERT_REPORTS": False, "RLS_IN_SQLLAB": True, "DRILL_TO_DETAIL": False}
DATA_CACHE_CONFIG: dict[str, Any] = {"CACHE_DEFAULT_TIMEOUT": 86400}
if _settings.superset_cache:
    DATA_CACHE_CONFIG |= {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": _settings.superset_cache,
        "CACHE_KEY_PREFIX": "paylake_data_",
    }
else:
    DATA_CACHE_CONFIG |= {
        "CACHE_TYPE": "FileSystemCache",
        "CACHE_DIR": str(_home / "cache"),
        "CACHE_THRESHOLD": 5000,
    }
CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
SQLLAB_CTAS_NO_LIMIT = False
SQL_MAX_ROW = 100_000
ROW_LIMIT = 10_000

_LOGO = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='110' height='24'>"
    f"<rect x='0' y='4' width='16' height='16' rx='3' fill='{BLUE}'/>"
    "<path d='M3 13q2.5-3 5 0t5 0' stroke='white' stroke-width='2' fill='none'/>"
    "<text x='23' y='18' font-family='Inter,Arial,sans-serif' font-size='18'"
    " font-weight='600' fill='#1c2733'>paylake</text></svg>"
)
_TOKENS = {
    "brandAppName": APP_NAME,
    "brandLogoAlt": APP_NAME,
    "brandLogoUrl": f"data:image/svg+xml;base64,{b64encode(_LOGO.encode()).decode()}",
    "brandLogoMargin": "18px 0",
    "brandLogoHref": "/dashboard/list/",
    "brandLogoHeight": "24px",
    "brandIconMaxWidth": 110,
    "colorPrimary": BLUE,
    "colorLink": BLUE,
    "colorError": RED,
    "colorWarning": AMBER,
    "fontFamily": "Inter, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif",
}
THEME_DEFAULT = {
    **superset_defaults.THEME_DEFAULT,
    "token": {**superset_defaults.THEME_DEFAULT["token"], **_TOKENS},
}
THEME_DARK = None
# One colour has one meaning: the first series is ours, the second is what it compares with.
EXTRA_CATEGORICAL_COLOR_SCHEMES = [
    {"id": "paylake", "label": "paylake", "description": "", "colors": list(SERIES)}
]

BABEL_DEFAULT_LOCALE = "zh"
LANGUAGES = {
    "zh": {"flag": "cn", "name": "简体中文"},
    "en": {"flag": "us", "name": "English"},
}
CURRENCIES = ["CNY", "USD", "EUR", "HKD"]
D3_FORMAT = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["¥", ""]}
D3_TIME_FORMAT = {
    "dateTime": "%Y-%m-%d %H:%M:%S",
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S",
    "periods": ["上午", "下午"],
    "days": [f"星期{d}" for d in "日一二三四五六"],
    "shortDays": [f"周{d}" for d in "日一二三四五六"],
    "months": [f"{n}月" for n in range(1, 13)],
    "shortMonths": [f"{n}月" for n in range(1, 13)],
}


def COMMON_BOOTSTRAP_OVERRIDES_FUNC(data: dict[str, Any]) -> dict[str, Any]:
    """Chinese pages count money in 万: the metrics are scaled, this adds the unit."""
    chinese = str(data.get("locale", "zh")).startswith("zh")
    return {"d3_format": {**D3_FORMAT, "currency": ["¥", " 万" if chinese else ""]}}


def _source(uri: Any) -> str:
    return "ops" if str(uri.database).endswith("ops") else "gold"


def DB_CONNECTION_MUTATOR(
    uri: Any, params: dict[str, Any], username: str, security_manager: Any, source: Any
) -> tuple[Any, dict[str, Any]]:
    """Every connection to data comes from `dashboards.serve`, with its reader's rights."""
    if not uri.drivername.startswith("duckdb"):
        return uri, params
    from flask import g, has_request_context
    from superset.utils.core import QuerySource

    from dashboards import serve

    user = getattr(g, "user", None) if has_request_context() else None
    params.pop("connect_args", None)
    params["creator"] = lambda: serve.connect(
        _source(uri),
        variables=access.scope(user),
        readable=access.readable(user, security_manager),
        catalog=source != QuerySource.SQL_LAB,
    )
    return uri, params


class SecurityManager(SupersetSecurityManager):
    """Adds the release and the reader's row scope to what a cached result is filed under."""

    def get_rls_cache_key(self, datasource: Any) -> list[str]:
        from flask import g

        from dashboards import serve

        scope = access.scope(getattr(g, "user", None))
        return [
            *super().get_rls_cache_key(datasource),
            f"release:{serve.release()}",
            f"scope:{sorted(scope.items())!r}",
        ]


CUSTOM_SECURITY_MANAGER = SecurityManager


def FLASK_APP_MUTATOR(app: Any) -> None:
    """One schema, dates as DATE literals, corrected words, and a viewport for phones."""
    from pathlib import Path

    from jinja2 import ChoiceLoader, FileSystemLoader
    from superset.db_engine_specs.duckdb import DuckDBEngineSpec

    convert = DuckDBEngineSpec.convert_dttm.__func__

    def convert_dttm(cls: Any, target_type: str, dttm: Any, db_extra: Any = None) -> str | None:
        # Superset writes timestamps for DATE columns, which DuckDB then compares as text.
        if (target_type or "").upper() == "DATE":
            return f"DATE '{dttm.date()}'"
        return convert(cls, target_type, dttm, db_extra)

    DuckDBEngineSpec.convert_dttm = classmethod(convert_dttm)
    DuckDBEngineSpec.get_schema_names = classmethod(lambda cls, inspector: {"main"})
    wording.serve_corrected(app)
    rights.serve_no_right(app)
    carry.serve_carrying(app)
    templates = FileSystemLoader(str(Path(__file__).with_name("templates")))
    app.jinja_loader = ChoiceLoader([templates, app.jinja_loader])
