"""`docker-compose.yml` as data, and its services as processes of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"


def document() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text("utf-8"))


def services() -> dict[str, dict[str, Any]]:
    return document()["services"]


def is_one_shot(service: dict[str, Any]) -> bool:
    return service["restart"] == "no"


def ports() -> list[str]:
    """Every port that a container listens on; each is used by one service alone."""
    return [port for service in services().values() for port in service.get("expose", ())]


@dataclass(frozen=True)
class Here:
    """Turns what the file says for containers into what it is on this machine.

    :param ports: container port → free port of this machine.
    :param paths: path in a container → path here.
    :param secrets: folder with the files that `env_file` names.
    :param given: variables of the caller's shell that the file's ``${NAME:-default}`` name.
    """

    ports: dict[str, str]
    paths: dict[str, str]
    secrets: Path
    given: Mapping[str, str] = field(default_factory=dict)

    def text(self, given: str) -> str:
        for path, here in sorted(self.paths.items(), key=lambda pair: -len(pair[0])):
            given = re.sub(rf"{re.escape(path)}(?=[/\"']|$)", here, given)
        names = "|".join(map(re.escape, services()))
        # A service is meant by its name before a port; a whole argument may be one, too, but
        # `postgres` and `superset` are also a program, a user and a database.
        whole = "|".join(name for name in services() if name.startswith("spark-"))
        numbers = "|".join(self.ports) or "(?!)"  # nothing to match
        host = rf"(?<=[/@])({names})(?=:({numbers})\b)|^({whole})$"
        given = re.sub(host, "127.0.0.1", given)
        given = given.replace("0.0.0.0", "127.0.0.1")
        return re.sub(rf"\b({numbers})\b", lambda found: self.ports[found[1]], given)

    def command(self, name: str) -> list[str]:
        service = services()[name]
        words = [*service.get("entrypoint", ()), *service["command"]]
        return [self.text(str(word)) for word in words]

    def health(self, name: str) -> list[str]:
        kind, *words = services()[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return [self.text(str(word)) for word in words]

    def _interpolated(self, value: object) -> str:
        def chosen(found: re.Match[str]) -> str:
            return self.given.get(found[1]) or found[2]

        return re.sub(r"\$\{(\w+):-([^}]*)\}", chosen, str(value))

    def environment(self, name: str) -> dict[str, str]:
        service = services()[name]
        given: dict[str, str] = {}
        for file in service.get("env_file", ()):
            lines = (self.secrets / Path(file).name).read_text("ascii").splitlines()
            given |= dict(line.split("=", 1) for line in lines)
        given |= {k: self._interpolated(v) for k, v in service.get("environment", {}).items()}
        return {key: self.text(value) for key, value in given.items()}
