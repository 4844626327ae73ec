"""Where the files of a lake are: a folder, or a prefix of an S3-compatible object store.

`PAYLAKE_LAKE` names it. Endpoint, region and keys of an object store come from the standard AWS_*
variables of the environment and from nowhere else; no setting, file or log line holds the secret.
Everything that differs between the two is here, but for the name that an engine knows them by.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paylake.errors import EnvironmentFault, UsageFault

if TYPE_CHECKING:
    import duckdb

    from paylake.settings import Settings

S3 = "s3://"
_LOG = "_delta_log"


def extension(name: str) -> Path:
    """A signed extension of DuckDB, from its wheel: no download.

    :raises EnvironmentFault: when the wheel is not installed.
    """
    import importlib

    import duckdb

    try:
        module = importlib.import_module(f"duckdb_extension_{name}")
    except ModuleNotFoundError:
        raise EnvironmentFault(
            f"DuckDB's extension {name} is not installed here",
            "Run `make env`, which installs it from the lock.",
        ) from None
    folder = Path(next(iter(module.__path__)))
    return folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def in_object_store(settings: Settings) -> bool:
    """Whether the lake is in an object store, and not in a folder of this machine."""
    return settings.lake.startswith(S3)


@dataclass(frozen=True)
class Access:
    """How an object store is reached. The secret is in no text form of it."""

    key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    region: str = "us-east-1"
    endpoint: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).netloc

    @property
    def is_encrypted(self) -> bool:
        return not self.endpoint.startswith("http://")


def access(environ: Mapping[str, str] | None = None) -> Access:
    """Read the standard variables.

    :raises EnvironmentFault: when keys are missing, or an endpoint in clear is not allowed.
    """
    environ = os.environ if environ is None else environ
    missing = [n for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not environ.get(n)]
    if missing:
        raise EnvironmentFault(
            f"The lake is in an object store, and {' and '.join(missing)} is not set",
            "Give the keys in the environment (docs/how-to/use-an-object-store-and-a-cluster.md).",
        )
    endpoint = environ.get("AWS_ENDPOINT") or environ.get("AWS_ENDPOINT_URL") or ""
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise EnvironmentFault(
            f"AWS_ENDPOINT is {endpoint!r}, which is no http:// or https:// address",
            "Write the whole address, like https://store.example:9000.",
        )
    if endpoint.startswith("http://") and environ.get("AWS_ALLOW_HTTP", "").lower() != "true":
        raise EnvironmentFault(
            f"AWS_ENDPOINT {endpoint} is not encrypted",
            "Use https://, or set AWS_ALLOW_HTTP=true where the network is your own.",
        )
    return Access(
        key=environ["AWS_ACCESS_KEY_ID"],
        secret=environ["AWS_SECRET_ACCESS_KEY"],
        token=environ.get("AWS_SESSION_TOKEN", ""),
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        endpoint=endpoint,
    )


class Folder:
    """A lake in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def url(self, *parts: str) -> str:
        """The address of a table, or of a layer."""
        return str(self.root.joinpath(*parts))

    def exists(self, layer: str, table: str) -> bool:
        return (self.root / layer / table / _LOG).is_dir()

    def tables(self, layer: str) -> list[str]:
        """Tables that exist in a layer, sorted."""
        folder = self.root / layer
        if not folder.is_dir():
            return []
        return sorted(p.name for p in folder.iterdir() if (p / _LOG).is_dir())

    def make(self, layer: str, table: str) -> None:
        """Make what a table needs before its first commit."""
        (self.root / layer / table).mkdir(parents=True, exist_ok=True)

    def remove(self, layer: str, table: str) -> None:
        """Remove a table's files for good."""
        shutil.rmtree(self.root / layer / table, ignore_errors=False)

    def file_digest(self, layer: str, table: str, name: str) -> str | None:
        """SM3 of a stored file; None when it is not there."""
        from paylake.crypto import sm3_file

        path = self.root / layer / table / name
        return sm3_file(path) if path.is_file() else None

    def size(self) -> int:
        """Bytes of all files."""
        total = 0
        for path in self.root.rglob("*"):
            try:
                if path.is_file() and not path.is_symlink():
                    total += path.stat().st_size
            except FileNotFoundError:
                continue  # upkeep removed it while we were counting
        return total

    def log_state(self, layer: str, table: str) -> int | None:
        """A number that is another one when any file of a table's log is; None when there is no
        table. Names, sizes and times of all files: damage in an old one counts, too."""
        try:
            with os.scandir(self.root / layer / table / _LOG) as entries:
                found = [(e.name, e.stat()) for e in entries]
        except FileNotFoundError:
            return None
        return hash(tuple(sorted(
            (name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in found
        )))

    def admission(self) -> tuple[str, Access] | None:
        """What a DuckDB connection must have been told to read these files: nothing."""
        return None

    def admit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a DuckDB connection read these files: a folder asks for nothing."""


@lru_cache(maxsize=4)
def _file_system(given: Access) -> Any:
    from pyarrow import fs

    return fs.S3FileSystem(
        access_key=given.key,
        secret_key=given.secret,
        session_token=given.token or None,
        region=given.region,
        endpoint_override=given.host or None,
        scheme="https" if given.is_encrypted else "http",
        connect_timeout=10,
        request_timeout=60,
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Bucket:
    """A lake below a prefix of a bucket. Each call reads the environment's keys of that moment."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self.bucket, _, self.prefix = self.address.removeprefix(S3).partition("/")

    def url(self, *parts: str) -> str:
        """The address of a table, or of a layer."""
        return "/".join([self.address, *parts])

    def exists(self, layer: str, table: str) -> bool:
        return self._is_folder(self._key(layer, table, _LOG))

    def tables(self, layer: str) -> list[str]:
        """Tables that exist in a layer, sorted."""
        return sorted(
            name
            for name in (each.base_name for each in self._list(self._key(layer)))
            if self.exists(layer, name)
        )

    def make(self, layer: str, table: str) -> None:
        """Nothing: an object store has no folders. A bucket that is not there is an error here.

        :raises EnvironmentFault: when the bucket does not exist or does not let us in.
        """
        self._is_folder(self.bucket, required=True)

    def remove(self, layer: str, table: str) -> None:
        """Remove a table's objects for good."""
        self._files().delete_dir(self._key(layer, table))

    def file_digest(self, layer: str, table: str, name: str) -> str | None:
        """SM3 of a stored object; None when it is not there."""
        from paylake.crypto import sm3_hex

        try:
            with self._files().open_input_stream(self._key(layer, table, name)) as stream:
                return sm3_hex(stream.read())
        except FileNotFoundError:
            return None

    def size(self) -> int:
        """Bytes of all objects."""
        return sum(each.size or 0 for each in self._list(self._key(), recursive=True))

    def log_state(self, layer: str, table: str) -> int | None:
        """None: asking an object store costs as much as opening the table."""
        return None

    def admission(self) -> tuple[str, Access] | None:
        """What a DuckDB connection must have been told to read these objects."""
        return self.bucket, access()

    def admit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a DuckDB connection read these objects (before it is locked down).

        The secret lives in that process's memory and is shown redacted by `duckdb_secrets()`.
        """
        given = access()
        options = {
            "type": "s3",
            "provider": "config",
            "key_id": _quoted(given.key),
            "secret": _quoted(given.secret),
            "region": _quoted(given.region),
            "scope": _quoted(f"{S3}{self.bucket}"),
        }
        if given.token:
            options["session_token"] = _quoted(given.token)
        if given.endpoint:
            options |= {
                "endpoint": _quoted(given.host),
                "url_style": "'path'",
                "use_ssl": str(given.is_encrypted).lower(),
            }
        connection.execute(f"load '{extension('httpfs')}'")
        listed = ", ".join(f"{name} {value}" for name, value in options.items())
        name = f"lake {self.bucket}".replace('"', "")
        connection.execute(f'create or replace temporary secret "{name}" ({listed})')

    def _key(self, *parts: str) -> str:
        return "/".join(p for p in (self.bucket, self.prefix, *parts) if p)

    def _files(self) -> Any:
        return _file_system(access())

    def _list(self, key: str, recursive: bool = False) -> list[Any]:
        from pyarrow import fs

        selector = fs.FileSelector(key, recursive=recursive, allow_not_found=True)
        try:
            return self._files().get_file_info(selector)
        except OSError as error:
            raise _fault(self.address, error) from error

    def _is_folder(self, key: str, required: bool = False) -> bool:
        from pyarrow import fs

        try:
            found = self._files().get_file_info(key).type == fs.FileType.Directory
        except OSError as error:
            raise _fault(self.address, error) from error
        if required and not found:
            raise EnvironmentFault(
                f"There is no bucket {self.bucket} in the object store",
                "Create it, or correct PAYLAKE_LAKE.",
                where=self.address,
            )
        return found


def _fault(address: str, error: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        f"The object store of the lake does not answer as it should: "
        f"{' '.join(str(error).split())[:300]}",
        "Check that it runs, AWS_ENDPOINT, and what these keys may do.",
        where=address,
    )


Store = Folder | Bucket


def store(settings: Settings) -> Store:
    """The files of a home's lake."""
    if in_object_store(settings):
        return Bucket(settings.lake)
    return Folder(settings.path("lake"))


def needs_folder(settings: Settings, what: str, instead: str) -> None:
    """Refuse, by name, what can only be done to a lake in a folder.

    :raises UsageFault: when the lake is in an object store.
    """
    if in_object_store(settings):
        raise UsageFault(
            f"{what} of a lake in an object store is the store's own business",
            instead,
            where=settings.lake,
        )
