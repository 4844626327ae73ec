"""Sessions: an HMAC each, the caller's signature over all, and what is not yet covered shown."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

import httpx
import orjson
import pytest
from fastapi.testclient import TestClient

from ledger.adapters.sqlite_reader import SqliteReader
from ledger.adapters.tokens import Tokens
from ledger.client import LedgerClient, LedgerRefusal, Signer
from ledger.client.signers import SessionSigner
from ledger.domain.actors import Actor
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger, verify
from ledger.entrypoints.session_keys import MOST_OF_ONE, Sessions
from ledger.sessions import CallerHalf, RequestMac, answered, cover_bytes
from paylake.crypto import PrivateKey
from paylake.errors import NotVerified, TransientFault, UsageFault
from tests.ledger.conftest import DAY, SYSTEM, at
from tests.ledger.test_verify import _forge
from tests.ledger.test_verify_forged import _rows, _write

CALLER_COUNT = 20


@pytest.fixture
def caller_key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def bridge(world, settings, caller_key):
    """A transport into the application of a ledger with one caller for M1."""
    world.approved(
        "caller", caller_id="C1", party_id="M1", public_key=caller_key.public.point,
        on_behalf=[], rates={"transaction": 10**6}, rails=["unionpay"], enabled=True,
        cover_count=CALLER_COUNT, cover_seconds=60,
    )
    app = create_app(settings, world.ledger, Tokens.load(settings))
    with TestClient(app, raise_server_exceptions=False) as http:

        class Bridge(httpx.BaseTransport):
            def handle_request(self, request):
                answer = http.request(
                    request.method, str(request.url), content=request.read(),
                    headers=dict(request.headers),
                )
                return httpx.Response(answer.status_code, content=answer.content)

        yield Bridge()
    world.ledger = open_ledger(settings, simulated=True)


@pytest.fixture
def client(bridge, caller_key):
    return LedgerClient(
        "http://testserver", Signer("caller:C1", caller_key), transport=bridge,
        pause=lambda _: None,
    )


def test_commands_of_a_session_are_covered_and_verified(client, world, settings):
    with client.session() as session:
        for _ in range(5):
            assert session.command(world.of("C1", world.command("payment")))["status"] == "posted"
        assert verify(settings).uncovered_requests == 5
    found = verify(settings)
    assert (found.uncovered_requests, found.journals) == (0, 5)
    row = world.ledger.store.find_by_journal(3)
    assert row[7] == "caller:C1" and orjson.loads(row[8])["number"] == 3


def test_a_session_covers_by_itself_and_never_exceeds_its_contract(client, world):
    with client.session(cover_count=4) as session:
        for _ in range(10):
            assert session.command(world.of("C1", world.command("payment")))["status"] == "posted"
        assert session.session.covered == 8
    with client.session(cover_count=10**6) as session:
        for _ in range(CALLER_COUNT):
            session.command(world.of("C1", world.command("payment")))
        with pytest.raises(LedgerRefusal) as caught:
            session.command(world.of("C1", world.command("payment")))
        assert caught.value.reason == "session_uncovered"
        session.session.digests.pop()  # the service did not count it
        session.session.number -= 1


def test_altered_replayed_and_foreign_requests_are_refused(client, world, bridge):
    session = client.session()
    body = orjson.dumps(world.of("C1", world.command("payment")))
    raw = httpx.Client(base_url="http://testserver", transport=bridge)

    def send(headers, content=body):
        answer = raw.post("/v1/commands", content=content, headers=headers)
        return answer.status_code, answer.json().get("error", answer.json()).get("reason")

    headers = session.session.headers("POST", "/v1/commands", body)
    assert send(headers, body.replace(b"10000", b"10001")) == (401, "signature_wrong")
    assert send(headers)[0] == 201
    assert send(headers) == (401, "request_replayed")
    ahead = {**headers, "x-paylake-number": "9", "x-paylake-mac": session.session.mac.of(
        9, "POST", "/v1/commands", session.session.digests[0],
    )}
    assert send(ahead) == (401, "request_replayed")
    assert send({**headers, "x-paylake-number": "2"}) == (401, "signature_wrong")
    assert send({**headers, "x-paylake-session": "S-x"}) == (401, "session_unknown")
    session.__exit__()


def test_the_code_of_a_request_is_an_hmac_over_its_canonical_bytes():
    """What a caller that is not this client has to compute, by the standard library."""
    said = b"17:paylake-session/23:S-11:74:POST12:/v1/commands64:" + b"0" * 64
    mac = RequestMac(b"k" * 32, "S-1")
    assert mac.of(7, "POST", "/v1/commands", "0" * 64) == hmac.new(
        b"k" * 32, said, lambda: hashlib.new("sm3")
    ).hexdigest()
    assert mac.of(7, "POST", "/v1/commands", "0" * 64) != mac.of(
        17, "POST", "/v1/commands", "0" * 64
    )


def test_a_signature_over_other_digests_covers_nothing(client, world, settings, caller_key):
    session = client.session()
    session.command(world.of("C1", world.command("payment")))
    session.session.digests[0] = "00" * 32
    with pytest.raises(LedgerRefusal) as caught:
        session.cover()
    assert caught.value.reason == "signature_wrong"
    assert verify(settings).uncovered_requests == 1


def test_a_cover_altered_in_the_log_does_not_verify(client, world, settings):
    with client.session() as session:
        session.command(world.of("C1", world.command("payment")))
    (signed,) = world.ledger.store._one(
        "select content ->> '$.signature' from entry where type = 'session_cover'"
    )
    altered = ("update entry set content = json_set(content, '$.signature', '{}') "
               "where type = 'session_cover'")
    _forge(world, altered.format("3006020101020101"))
    with pytest.raises(NotVerified, match="over its session does not verify"):
        verify(settings)
    _forge(world, altered.format(signed))  # a damaged ledger is not opened again
    assert verify(settings).broken is None


@pytest.mark.parametrize("evidence", ["", '{"request":1}'])
def test_a_cover_without_its_request_is_verified_too(client, world, settings, evidence):
    with client.session() as session:
        session.command(world.of("C1", world.command("payment")))
    of = "where type = 'session_cover'"
    (signed,) = world.ledger.store._one(f"select content ->> '$.signature' from entry {of}")
    (asked,) = world.ledger.store._one(f"select evidence from entry {of}")
    altered = "update entry set content = json_set(content, '$.signature', '{}'), evidence = '{}' "
    _forge(world, altered.format("3006020101020101", evidence) + of)
    with pytest.raises(NotVerified, match="first broken row"):
        verify(settings)
    _forge(world, altered.format(signed, asked) + of)  # a damaged ledger is not opened again
    assert verify(settings).broken is None


def _stop(world, **values) -> None:
    """An emergency stop, of all unless said otherwise."""
    world.ledger.apply([world._keyed("stop", {
        "stop_id": "E", "stop_scope": "all", "stop_mode": "everything", "reason": "r", **values,
    })], SYSTEM)


@pytest.mark.parametrize("values", [
    {}, {"stop_scope": "caller", "stop_target": "C1"},
    {"stop_scope": "merchant", "stop_target": "M1"},
])
def test_a_stop_does_not_keep_back_a_signature_over_what_was_posted(
    client, world, settings, values,
):
    """What came before the stop is signed under it, so that nothing stays unsigned by it."""
    session = client.session()
    for _ in range(3):
        session.command(world.of("C1", world.command("payment")))
    _stop(world, **values)
    assert session.command(world.of("C1", world.command("payment")))["reason"] == "stopped"
    session.cover()
    found = verify(settings)
    assert (found.broken, found.uncovered_requests) == (None, 0)


def test_a_cover_is_tried_again_under_its_last_number(client, world, settings, caller_key):
    """An SM2 signature is another one each time; the same one is answered by what became of it."""
    session = client.session()
    for _ in range(2):
        session.command(world.of("C1", world.command("payment")))
    name, digests = session.session.session_id, session.session.digests
    tries = [{
        "type": "session_cover", "session_id": name, "first_number": 2, "digests": digests[1:],
        "signature": caller_key.sign(cover_bytes(name, 2, digests[1:])).hex(),
        "occurred_at": at(DAY, "10:00:00"),
        "idempotency_key": f"cover-{name}-2",
    }]
    ahead = world.ledger.record(tries[0], Actor("caller", "C1"))  # as one under way did
    assert ahead["reason"] == "register_differs"
    order = {"last_number": 2, "signature": caller_key.sign(cover_bytes(name, 1, digests)).hex()}
    answer = client._call("POST", f"/v1/sessions/{name}/cover", order)
    assert (answer["status"], answer["replayed"]) == ("posted", False)
    assert verify(settings).uncovered_requests == 0


def test_the_client_keeps_its_digests_when_a_cover_was_not_posted(client, world, monkeypatch):
    session = client.session()
    session.command(world.of("C1", world.command("payment")))
    call = client._call
    told = {"status": "refused", "reason": "register_differs", "detail": "the next is number 2",
            "replayed": False, "idempotency_key": "cover"}
    monkeypatch.setattr(session._opener, "_call", lambda *_, **__: told)
    with pytest.raises(LedgerRefusal, match="the next is number 2") as caught:
        session.cover()
    assert caught.value.reason == "register_differs"
    assert (session.session.covered, len(session.session.digests)) == (0, 1)
    monkeypatch.setattr(session._opener, "_call", call)
    session.cover()
    assert session.session.covered == 1


def test_a_cover_comes_after_what_was_accepted_before_it(world, settings, caller_key):
    """A caller that does not wait for its answers: what it sends at once stands in order."""
    world.approved("caller", caller_id="C1", party_id="M1", public_key=caller_key.public.point,
                   on_behalf=[], rates={"transaction": 10**6}, rails=["unionpay"], enabled=True)
    app = create_app(settings, world.ledger, Tokens.load(settings))
    by_key = Signer("caller:C1", caller_key)

    async def sent() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(
            transport=transport, base_url="http://testserver"
        ) as http:
            async def post(path, body, by):
                return await http.post(path, content=body, headers=by.headers("POST", path, body))

            half = CallerHalf()
            opened = (await post(
                "/v1/sessions", orjson.dumps({"key_half": half.public}), by_key
            )).json()
            name = opened["session_id"]
            signer = SessionSigner(name, half.key(name, opened["sealed_key"]), 10**6)
            requests = [
                ("/v1/batches", {"commands": [
                    world.of("C1", world.command("payment")) for _ in range(300)
                ]}) for _ in range(3)
            ] + [("/v1/commands", world.of("C1", world.command("payment"))) for _ in range(30)]
            jobs = []
            for path, document in requests:
                jobs.append(asyncio.ensure_future(post(path, orjson.dumps(document), signer)))
                await asyncio.sleep(0)
            order = {"last_number": len(requests), "signature": caller_key.sign(
                cover_bytes(name, 1, signer.digests)).hex()}
            jobs.append(asyncio.ensure_future(post(
                f"/v1/sessions/{name}/cover", orjson.dumps(order), by_key
            )))
            return [answer.status_code for answer in await asyncio.gather(*jobs)]

    assert asyncio.run(sent()) == [200] * 3 + [201] * 30 + [200]
    world.ledger = open_ledger(settings, simulated=True)
    assert [row[2] for row in world.ledger.store.entries(1)][-1] == "session_cover"
    assert verify(settings).uncovered_requests == 0


@pytest.mark.parametrize("altered", [False, True])
def test_what_a_cover_overtook_is_held_against_it(client, world, settings, altered):
    """In ledgers of before, a cover may stand before the last of what it covers."""
    with client.session() as session:
        for _ in range(3):
            session.command(world.of("C1", world.command("payment")))
    rows = _rows(world)
    rows = [*rows[:-3], rows[-1], *rows[-3:-1]]
    assert [row["type"] for row in rows[-3:]] == ["session_cover", "payment", "payment"]
    evidence, name = orjson.loads(rows[-1]["evidence"]), session.session.session_id
    assert (evidence["session"], evidence["number"]) == (name, 3)
    if altered:
        evidence["digest"] = "00" * 32
        rows[-1]["evidence"] = orjson.dumps(evidence).decode()
    kept = _rows(world)
    _write(world, rows)
    if altered:
        with pytest.raises(NotVerified, match=f"request 3 of {name} has another digest"):
            verify(settings)
    else:
        assert verify(settings).uncovered_requests == 0
    _write(world, kept)  # what is not as it was written is not opened again


def test_only_signing_callers_open_sessions(client, world, bridge, settings):
    token = settings.path("keys", "ledger.token").read_text("ascii")
    plain = LedgerClient("http://testserver", token, transport=bridge)
    with pytest.raises(UsageFault):
        plain.session()
    with pytest.raises(LedgerRefusal) as caught:
        plain._call("POST", "/v1/sessions", {"key_half": CallerHalf().public})
    assert caught.value.reason == "forbidden"
    for half in ("zz", "00" * 63, 7, "00" * 64, "11" * 64, CallerHalf().public[:-1]):
        with pytest.raises(LedgerRefusal) as caught:
            client._call("POST", "/v1/sessions", {"key_half": half})
        assert caught.value.reason == "invalid_field"


def test_the_key_is_of_one_session_one_half_and_one_answer():
    half, other = CallerHalf(), CallerHalf()
    sealed, key = answered("S-1", half.public)
    assert half.key("S-1", sealed) == key and len(key) == 32
    assert half.key("S-2", sealed) != key
    assert answered("S-1", half.public)[1] != key
    with pytest.raises(NotVerified):
        other.key("S-1", sealed)


def test_the_running_digest_depends_on_every_request_and_their_order():
    one, two = "11" * 32, "22" * 32
    found = {
        cover_bytes("S", 1, digests) for digests in ([one], [two], [one, two], [two, one])
    } | {cover_bytes("S", 2, [one]), cover_bytes("R", 1, [one])}
    assert len(found) == 6


def test_a_query_that_ends_like_a_cover_is_counted_like_any_other(client, world):
    """Else a caller could leave as much unsigned as it liked."""
    with client.session() as session:
        for _ in range(CALLER_COUNT):
            payment = world.of("C1", world.command("payment"))
            session._client._call("POST", "/v1/batches", {"commands": [payment]})
        with pytest.raises(LedgerRefusal) as caught:
            session._client._call(
                "POST", "/v1/batches", {"commands": [world.of("C1", world.command("payment"))]},
                query={"x": "/cover"},
            )
        assert caught.value.reason == "session_uncovered"
        session.session.digests.pop()  # it was not counted
        session.session.number -= 1


@pytest.fixture
def restarts(world, settings, caller_key):
    """Applications over one ledger, one after the other, as a service that loses its memory; gives
    a client of the caller C1 for the next."""
    world.approved(
        "caller", caller_id="C1", party_id="M1", public_key=caller_key.public.point,
        on_behalf=[], rates={"transaction": 10**6, "data": 10**6}, rails=["unionpay"], enabled=True,
        cover_count=CALLER_COUNT, cover_seconds=60,
    )
    running: list[TestClient] = []

    class Bridge(httpx.BaseTransport):
        def handle_request(self, request):
            answer = running[-1].request(
                request.method, str(request.url), content=request.read(),
                headers=dict(request.headers),
            )
            return httpx.Response(answer.status_code, content=answer.content)

    def start(key: PrivateKey = caller_key, name: str = "C1") -> LedgerClient:
        if running:
            running[-1].__exit__(None, None, None)
            world.ledger = open_ledger(settings, simulated=True)
        app = create_app(settings, world.ledger, Tokens.load(settings))
        running.append(TestClient(app, raise_server_exceptions=False))
        running[-1].__enter__()
        return LedgerClient("http://testserver", Signer(f"caller:{name}", key),
                            transport=Bridge(), pause=lambda _: None)

    yield start
    running[-1].__exit__(None, None, None)
    world.ledger = open_ledger(settings, simulated=True)


def test_what_a_lost_session_sent_is_covered_from_the_log(restarts, world, settings):
    session = restarts().session()
    for _ in range(3):
        session.command(world.of("C1", world.command("payment")))
    session.cover()
    for _ in range(4):
        session.command(world.of("C1", world.command("payment")))
    restarts()
    with pytest.raises(LedgerRefusal) as caught:
        session.command(world.of("C1", world.command("payment")))
    assert caught.value.reason == "session_unknown"
    session.session.digests.pop()  # it was not accepted
    session.session.number -= 1
    assert verify(settings).uncovered_requests == 4
    session.cover()
    found = verify(settings)
    assert (found.uncovered_requests, found.journals) == (0, 7)


def test_requests_of_a_lost_session_that_left_no_entry_are_given_by_the_caller(
    restarts, world, settings,
):
    session = restarts().session()
    command = world.of("C1", world.command("payment"))
    session.command(command)
    session.read(lambda client: client.standing("2201:M1"))
    assert session.command(command)["replayed"] is True
    session.command(world.of("C1", world.command("payment")))
    restarts()
    session.cover()
    assert verify(settings).uncovered_requests == 0


def test_a_lost_session_is_covered_by_its_caller_alone_and_as_the_log_has_it(
    restarts, world, settings, caller_key,
):
    client = restarts()
    session = client.session()
    for _ in range(2):
        session.command(world.of("C1", world.command("payment")))
    path, digests = f"/v1/sessions/{session.session.session_id}/cover", session.session.digests
    client = restarts()

    def cover(by, key, listed, **order):
        signature = key.sign(cover_bytes(session.session.session_id, 1, listed)).hex()
        with pytest.raises(LedgerRefusal) as caught:
            by._call("POST", path, {"last_number": 2, "signature": signature, **order})
        return caught.value.reason

    other = PrivateKey.generate()
    world.approved("caller", caller_id="C2", party_id="M2", public_key=other.public.point,
                   on_behalf=[], rates={"transaction": 9}, enabled=True)
    stranger = client.as_signer(Signer("caller:C2", other))
    assert cover(stranger, other, digests) == "session_unknown"
    assert cover(client, other, digests) == "signature_wrong"
    altered = ["00" * 32, digests[1]]
    assert cover(client, caller_key, altered, digests=altered) == "invalid_field"
    assert cover(client, caller_key, altered) == "signature_wrong"
    for odd in ([], digests[:1], [1, 2], "x", ["zz" * 32] * 2):
        assert cover(client, caller_key, digests, digests=odd) == "invalid_field"
    for last in (0, 3, "2", None, 10**9):
        assert cover(client, caller_key, digests, last_number=last) == "invalid_field"
    assert verify(settings).uncovered_requests == 2
    session.cover()
    assert verify(settings).uncovered_requests == 0


def test_a_cover_of_a_lost_session_that_cannot_hold_does_not_read_the_log(
    restarts, world, caller_key, monkeypatch,
):
    session = restarts().session()
    for _ in range(2):
        session.command(world.of("C1", world.command("payment")))
    name, digests = session.session.session_id, session.session.digests
    client, searched = restarts(), []
    found = SqliteReader.of_session

    def searching(reader, *arguments):
        searched.append(arguments)
        return found(reader, *arguments)

    monkeypatch.setattr(SqliteReader, "of_session", searching)
    good = caller_key.sign(cover_bytes(name, 1, digests)).hex()
    for reason, order in (
        *(("invalid_field", {"last_number": last, "signature": good})
          for last in (0, -1, "2", None, True, 10**9)),
        *(("invalid_field", {"last_number": 2, "signature": good, "digests": odd})
          for odd in ([], digests[:1], [1, 2], "x", ["zz" * 32] * 2)),
        ("signature_wrong", {"last_number": 2, "signature": "ab" * 70, "digests": digests}),
        *(("signature_wrong", {"last_number": 2, "signature": odd})
          for odd in ("", "zz", "ab" * 999, None, 5)),
    ):
        with pytest.raises(LedgerRefusal) as caught:
            client._call("POST", f"/v1/sessions/{name}/cover", order)
        assert caught.value.reason == reason, order
    assert searched == []
    client._call("POST", f"/v1/sessions/{name}/cover",
                 {"last_number": 2, "signature": good, "digests": digests})
    assert len(searched) == 1


def test_a_caller_that_opens_sessions_again_and_again_ends_no_others(client, world, monkeypatch):
    """Its own oldest gives way; and each is an entry of the log, so a minute has so many."""
    other = PrivateKey.generate()
    world.approved("caller", caller_id="C2", party_id="M2", public_key=other.public.point,
                   on_behalf=[], rates={"transaction": 10**6}, enabled=True)
    sessions = Sessions(world.ledger, lambda: 0.0)
    sessions.opened(Actor("caller", "C2"), "other", b"k")
    for number in range(MOST_OF_ONE + 1):
        sessions.opened(Actor("caller", "C1"), f"S{number}", b"k")
    assert [sessions.knows(name) for name in ("other", "S0", "S1")] == [True, False, True]
    monkeypatch.setattr("ledger.entrypoints.identity.OPENED_A_MINUTE", 3)
    for _ in range(3):
        client.session()
    before = world.ledger.head.sequence
    with pytest.raises(TransientFault, match="429"):
        client.session()
    assert world.ledger.head.sequence == before


def test_a_caller_covers_no_more_often_than_it_may_send(client, world, caller_key, monkeypatch):
    """A cover sent in a session is itself to be covered: it would go on for ever."""
    world.approved("caller", caller_id="C1", party_id="M1", public_key=caller_key.public.point,
                   on_behalf=[], rates={"transaction": 2}, enabled=True)
    monkeypatch.setattr("ledger.entrypoints.identity.OPENED_A_MINUTE", 1)
    path = f"/v1/sessions/{client.session().session.session_id}/cover"
    order = {"last_number": 1, "signature": "00" * 70}
    for _ in range(3):
        with pytest.raises(LedgerRefusal):
            client._call("POST", path, order)
    with pytest.raises(TransientFault, match="429"):
        client._call("POST", path, order)
