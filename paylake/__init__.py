"""paylake: the kernel that every room may import.

It knows no feed, mart or report. `read` is imported on first use, so that the light parts
(settings, errors, dates) can be used where there is neither an engine nor Delta.
"""

from typing import Any

__version__ = "0.1.0"


def read(name: str, release: str | None = None, home: str | None = None) -> Any:
    """Read a released table as a pandas frame: ``paylake.read("mart_kpi__institution_day")``.

    :param name: a gold table.
    :param release: a release id; the release in force when left out.
    :param home: a home; ``PAYLAKE_HOME`` or ``var/demo`` when left out.
    """
    from paylake.release import read as read_released

    return read_released(name, release=release, home=home)
