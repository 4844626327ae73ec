"""Pythons of the other environments (Airflow, Superset), made from their locks when absent."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from paylake.errors import EnvironmentFault
from paylake.settings import ROOT


@cache
def python_of(name: str) -> Path:
    """The Python of the environment `name`; installs it first when it is not there.

    :raises EnvironmentFault: when it cannot be installed.
    """
    result = subprocess.run(
        [str(ROOT / "bin" / "python-of"), name], stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode != 0:
        raise EnvironmentFault(
            f"The {name} environment could not be made", "The lines above say why."
        )
    return Path(result.stdout.strip())
