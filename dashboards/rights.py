"""A screen that is not open to a reader says so: what it is, why, and what to do.

Superset itself would open it with an error in each chart, as everyone may read the state line.
Rights are not decided here: they are those of the datasets, which every data request meets again.
"""

from __future__ import annotations

import re
from typing import Any

from dashboards.access import REGION, ROLES
from dashboards.source.screens import BY_KEY, SCREENS
from dashboards.views.expressions import LANGUAGES

SCREEN = re.compile(rf"/superset/dashboard/([a-z-]+)-({'|'.join(LANGUAGES)})/?")
_WORDS = {
    "zh": {
        "what": "「{screen}」没有对您开放",
        "why": "您以 {user} 登录，角色为 {roles}；这一屏给{readers}看。",
        "none": "（没有角色）",
        "open": "您可以打开：",
        "nothing": "目前没有对您开放的屏。",
        "do": "需要这一屏，请管理员在用户列表里给您加上角色 {wanted}。",
        "out": "换一个账号登录",
        "and": "、",
    },
    "en": {
        "what": "“{screen}” is not open to you",
        "why": "You are logged in as {user}, with {roles}; this screen is for {readers}.",
        "none": "no role",
        "open": "Open to you: ",
        "nothing": "No screen is open to you yet.",
        "do": "If you need it, ask an administrator to give you the role {wanted}.",
        "out": "Log in as somebody else",
        "and": ", ",
    },
}


def readers_of(about: str) -> str:
    """Who a screen is for: what stands before the colon of its description."""
    return re.split("[：:]", about)[0]


def context(key: str, language: str, user: str, roles: list[str], open_keys: list[str]) -> dict:
    """What the page says.

    :param open_keys: screens that this reader may open.
    """
    index, words = LANGUAGES.index(language), _WORDS[language]
    screen = BY_KEY[key]
    shown = [name for name in roles if not name.startswith(REGION)]
    wanted = [role.name for role in ROLES if key in role.screens]
    readers = readers_of(screen.about[index])
    return {
        "language": language,
        "title": words["what"].format(screen=screen.title[index]),
        "why": words["why"].format(
            user=user,
            roles=words["and"].join(shown) or words["none"],
            readers=readers[:1].lower() + readers[1:],
        ),
        "lead": words["open"] if open_keys else words["nothing"],
        "links": [
            (f"/superset/dashboard/{name}-{language}/", BY_KEY[name].title[index])
            for name in open_keys
        ],
        "todo": words["do"].format(wanted=(" 或 " if language == "zh" else " or ").join(wanted)),
        "out": words["out"],
    }


def serve_no_right(app: Any) -> None:
    """Answer for a screen that the reader may not see, before Superset opens it."""
    from flask import g, render_template, request

    def answer() -> Any:
        found = SCREEN.fullmatch(request.path)
        if found is None or found[1] not in BY_KEY:
            return None
        from flask_login import current_user

        if not current_user.is_authenticated:
            return None  # Superset asks for the login
        g.user = current_user
        if _may_open(found[1], found[2]):
            return None
        open_keys = [s.key for s in SCREENS if not s.phone and _may_open(s.key, found[2])]
        roles = [role.name for role in current_user.roles]
        said = context(found[1], found[2], current_user.username, roles, open_keys)
        return render_template("no_right.html", **said), 403

    app.before_request(answer)


def _may_open(key: str, language: str) -> bool:
    """Whether every dataset of a screen is open to the reader; a screen that is not there is."""
    from superset import db, security_manager
    from superset.models.dashboard import Dashboard

    screen = db.session.query(Dashboard).filter_by(slug=f"{key}-{language}").one_or_none()
    if screen is None:
        return True
    return all(security_manager.can_access_datasource(source) for source in screen.datasources)
