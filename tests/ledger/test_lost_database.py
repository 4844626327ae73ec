"""A service that lost its PostgreSQL connection ends by name; the next has what was committed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from ledger.entrypoints.operations import verify
from paylake.errors import TransientFault
from tests.ledger.postgres import Server
from tests.ledger.test_service_process import Service, commands, free_port, trade_day

WRITER = "pid in (select pid from pg_locks where locktype = 'advisory')"
KILL = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and "
#: The commit itself ends the connection: nobody can say whether it was done.
AT_COMMIT = """
create function gone() returns trigger language plpgsql as
'begin perform pg_terminate_backend(pg_backend_pid()); return null; end';
create constraint trigger gone after insert on entry deferrable initially deferred
for each row execute function gone();
"""


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def on_postgres(settings, server, monkeypatch):
    """Settings of an empty database, which the service's process has too."""
    url = server.database()
    monkeypatch.setenv("PAYLAKE_LEDGER_DATABASE", url)
    return replace(settings, ledger_database=url)


def run(settings, statements: str) -> None:
    async def running() -> None:
        connection = await asyncpg.connect(settings.ledger_database)
        await connection.execute(statements)
        await connection.close()

    asyncio.run(running())


@pytest.mark.parametrize("how", [
    KILL + WRITER, KILL + f"datname = current_database() and not {WRITER}",
    KILL + "datname = current_database()", AT_COMMIT,
], ids=["writer", "reader", "both", "commit"])
def test_a_service_without_its_database_ends_and_the_next_goes_on(on_postgres, settings, how):
    made = commands(6)
    service = Service(settings.home, free_port())
    try:
        client = service.client()
        trade_day(client, made[:5])
        run(on_postgres, how)
        with pytest.raises(TransientFault):
            client.command(made[5])
            client.command(made[5])
        _, said = service.process.communicate(timeout=30)
    finally:
        service.process.kill()
    assert service.process.returncode == 14
    assert "lost the connection to its database" in said and "Traceback" not in said
    run(on_postgres, "drop trigger if exists gone on entry")
    service = Service(settings.home, free_port())
    try:
        client = service.client()
        results = client.batch(made)
        assert [r["status"] for r in results] == ["posted"] * 6
        assert [r["replayed"] for r in results[:5]] == [True] * 5
    finally:
        assert service.end() == 0
    assert verify(on_postgres).journals == 6


@pytest.mark.parametrize("how", [
    KILL + WRITER, KILL + f"datname = current_database() and not {WRITER}",
], ids=["writer", "reader"])
def test_a_service_that_nobody_asks_notices_it_too(on_postgres, settings, how):
    service = Service(settings.home, free_port())
    try:
        trade_day(service.client(), commands(2))
        run(on_postgres, how)
        _, said = service.process.communicate(timeout=10)
    finally:
        service.process.kill()
    assert service.process.returncode == 14
    assert "lost the connection to its database" in said and "Traceback" not in said
