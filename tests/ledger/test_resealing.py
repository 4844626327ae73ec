"""The key that seals sensitive values is changed: nothing of the log changes with it, on both
storages, in homes of this program and of those before it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import replace

import asyncpg
import pytest

from ledger.adapters.storage import ledger_path, open_reader
from ledger.entrypoints.cli import main
from ledger.entrypoints.operations import migrate, open_ledger, reseal, verify
from paylake.errors import LeaseHeld, NotVerified, PaylakeError, PermanentFailure
from tests.ledger.conftest import World
from tests.ledger.postgres import Server

BIND = {
    "type": "bind_account", "idempotency_key": "bind", "destination_id": "D7", "party_id": "U1",
    "bound_account": "6222000000000001", "bound_name": "Zhang", "bank_code": "ICBC",
    "occurred_at": "2026-09-12T10:00:00+08:00",
}
#: Tables and triggers of the schema before the key's number was kept.
OLDER = {
    "sqlite": """
        drop trigger secret_no_update; drop trigger secret_no_delete;
        create table old (commitment text primary key, sealed blob not null) without rowid;
        insert into old select commitment, sealed from secret;
        drop table secret; alter table old rename to secret;
        create trigger secret_no_update before update on secret
        begin select raise(abort, 'secret is append-only'); end;
        create trigger secret_no_delete before delete on secret
        begin select raise(abort, 'secret is append-only'); end;
        pragma user_version = 2;
    """,
    "postgres": """
        drop trigger secret_append_only on secret; drop trigger secret_resealed on secret;
        drop function secret_resealed;
        alter table secret drop constraint secret_pkey;
        alter table secret drop column key_number;
        alter table secret add primary key (commitment);
        create trigger secret_append_only before update or delete on secret
            for each row execute function append_only();
        update meta set value = '2' where name = 'schema';
        update alembic_version set version_num = '0002';
    """,
}


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def home(request, settings):
    """Settings of a home, for either storage."""
    if request.param == "sqlite":
        return settings
    return replace(
        settings, ledger_database=request.getfixturevalue("server").database()
    )


def _sql(settings, script: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(settings.ledger_database)
        await connection.execute(script)
        await connection.close()

    if settings.ledger_database:
        asyncio.run(run())
        return
    db = sqlite3.connect(ledger_path(settings))
    db.executescript(script)
    db.close()


def _bound(settings) -> dict:
    """A ledger with a sealed value, closed; the result of the command that gave it."""
    world = World(settings)
    world.start()
    first = world.ledger.apply([BIND])[0]
    assert first["status"] == "posted"
    world.ledger.close()
    return first


def _keys(settings) -> set[int]:
    """The keys that sealed what is there."""
    reader = open_reader(settings)
    try:
        return {row[2] for row in reader.secrets_sealed_before(10**6, "", 10**6)}
    finally:
        reader.close()


def _reads(ledger) -> str:
    commitment = ledger.state.get("destination", "D7")["bound_account"]
    return ledger.vault.reveal(commitment, *ledger.store.secret(commitment))


def _holds(settings, first: dict) -> None:
    """The value opens, the command sent again is the first, and the log verifies."""
    ledger = open_ledger(settings, simulated=True)
    try:
        assert _reads(ledger) == BIND["bound_account"]
        assert ledger.apply([BIND])[0] == {**first, "replayed": True}
        other = ledger.apply([{**BIND, "bound_name": "Wang"}])[0]
        assert (other["reason"], other["field"]) == ("idempotency_key_reused", "bound_name")
    finally:
        ledger.close()
    assert verify(settings).broken is None


def test_d2_18_the_key_is_changed_and_the_log_stays(home):
    """Values of the old key open until they are sealed anew; then the old key can go."""
    first = _bound(home)
    assert _keys(home) == {1}
    done = reseal(home, new_key=True)
    assert done["key_number"] == 2 and done["values"] >= 8
    assert _keys(home) == {2}
    _holds(home, first)
    assert reseal(home, new_key=False) == {"key_number": 2, "values": 0}
    old = home.path("keys", "seal.key")
    old.rename(old.with_name("away"))
    _holds(home, first)
    assert reseal(home, new_key=True)["key_number"] == 3
    _holds(home, first)


def test_a_new_key_seals_and_older_ones_open(home):
    first = _bound(home)
    from ledger.adapters.vault import SealingKeys
    from paylake.keys import Keyring

    SealingKeys(Keyring(home)).add()
    ledger = open_ledger(home, simulated=True)
    later = {**BIND, "idempotency_key": "later", "destination_id": "D8"}
    assert ledger.apply([later])[0]["status"] == "posted"
    ledger.close()
    assert _keys(home) == {1, 2}
    _holds(home, first)
    assert reseal(home, new_key=False)["key_number"] == 2
    assert _keys(home) == {2}


def test_an_older_home_keeps_its_commitments(home):
    """Its salts come from its one sealing key, its table has no numbers of keys."""
    home.path("keys", "salt.key").unlink()
    first = _bound(home)
    _sql(home, OLDER["postgres" if home.ledger_database else "sqlite"])
    with pytest.raises(PermanentFailure, match="migrate"):
        open_ledger(home, simulated=True)
    done = migrate(home)
    assert (done["schema_before"], done["schema_after"]) == (2, 3)
    _holds(home, first)
    assert reseal(home, new_key=True)["key_number"] == 2
    _holds(home, first)
    home.path("keys", "seal.key").unlink()
    _holds(home, first)


def test_an_older_database_without_a_revision_is_migrated(settings, server):
    home = replace(settings, ledger_database=server.database())
    first = _bound(home)
    _sql(home, OLDER["postgres"] + "drop table alembic_version")
    assert migrate(home)["schema_before"] == 2
    _holds(home, first)


def test_only_what_a_newer_key_sealed_is_dropped(home):
    _bound(home)
    ledger = open_ledger(home, simulated=True)
    store = ledger.store
    try:
        old = store.secrets_sealed_before(2, "", 10**6)
        for dropped in (old, old[:1]):
            with pytest.raises(PaylakeError, match="append-only"), store.transaction():
                store.replace_secrets([], dropped)
        with pytest.raises(PaylakeError, match="append-only"), store.transaction():
            store._many("update secret set key_number = 7", [()])
        assert store.secrets_sealed_before(2, "", 10**6) == old
    finally:
        ledger.close()


def test_a_value_that_does_not_open_is_not_replaced(settings):
    """Another key in the place of the old one: nothing is sealed anew, nothing dropped."""
    _bound(settings)
    key = settings.path("keys", "seal.key")
    before = key.read_text("ascii")
    key.write_text("00" * 16)
    with pytest.raises(NotVerified):
        reseal(settings, new_key=True)
    assert _keys(settings) == {1}
    key.write_text(before)
    assert reseal(settings, new_key=False)["key_number"] == 2


def test_a_served_ledger_is_not_resealed(settings):
    world = World(settings)
    try:
        with pytest.raises(LeaseHeld):
            reseal(settings, new_key=True)
        assert not settings.path("keys", "ledger-seal-2.key").exists()
    finally:
        world.ledger.close()


def test_the_command_line(settings, capsys):
    _bound(settings)
    main.main(
        ["reseal", "--home", str(settings.home), "--new-key"], standalone_mode=False
    )
    assert json.loads(capsys.readouterr().out)["key_number"] == 2
    mode = settings.path("keys", "ledger-seal-2.key").stat().st_mode
    assert mode & 0o077 == 0
