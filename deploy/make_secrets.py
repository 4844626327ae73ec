"""Make the passwords and keys of the server deployment, once: ``python3 deploy/make_secrets.py``.

Writes one file of environment variables a service into ``var/deploy`` (mode 0600, not in git), the
files that ``docker-compose.yml`` names as `env_file`. A file that exists is left as it is, so that
a second call changes no password. Only the standard library: nothing is installed yet.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def password() -> str:
    """Letters and digits alone: it stands in addresses and in SQL without quoting."""
    return secrets.token_hex(24)


def fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


def contents() -> dict[str, dict[str, str]]:
    """File name → environment variables; passwords that two services share are drawn once."""
    airflow, superset, redis = password(), password(), password()
    return {
        "postgres.env": {
            "POSTGRES_PASSWORD": password(),
            "AIRFLOW_DATABASE_PASSWORD": airflow,
            "SUPERSET_DATABASE_PASSWORD": superset,
        },
        "redis.env": {"REDIS_PASSWORD": redis},
        "object-store.env": {
            "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
            "AWS_SECRET_ACCESS_KEY": password(),
        },
        "airflow.env": {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
                f"postgresql+psycopg://airflow:{airflow}@postgres:5432/airflow"
            ),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": (
                f"postgresql+psycopg_async://airflow:{airflow}@postgres:5432/airflow"
            ),
            "AIRFLOW__CORE__FERNET_KEY": fernet_key(),
            "AIRFLOW__API__SECRET_KEY": password(),
            "AIRFLOW__API_AUTH__JWT_SECRET": password(),
            "AIRFLOW_OPERATIONS_PASSWORD": secrets.token_urlsafe(12),
        },
        "superset.env": {
            "PAYLAKE_SUPERSET_DATABASE": (
                f"postgresql+pg8000://superset:{superset}@postgres:5432/superset"
            ),
            "PAYLAKE_SUPERSET_CACHE": f"redis://:{redis}@redis:6379/0",
        },
    }


def write(folder: Path) -> list[Path]:
    """Write the files.

    :returns: those written now; none when they are all there.
    :raises SystemExit: when some are there and others not: a new one would not match its partner.
    """
    wanted = contents()
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing and len(missing) < len(wanted):
        raise SystemExit(
            f"Some secrets are in {folder}, but not {', '.join(missing)}: passwords that two files "
            "share would differ. Restore what is missing, or remove all and the data volumes, then "
            "run it again."
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in missing:
        text = "".join(f"{key}={value}\n" for key, value in wanted[name].items())
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
    return [folder / name for name in missing]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "deploy")
    written = write(parser.parse_args().folder)
    print("\n".join(map(str, written)) or "nothing to do")


if __name__ == "__main__":
    main()
