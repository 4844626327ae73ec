"""Alarms: recorded, sent where a channel is set, and an alarm of their own where it fails."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from paylake import notify, ops, settings
from paylake.errors import UsageFault

DAY = date(2026, 10, 9)


@pytest.fixture
def webhook() -> Iterator[tuple[str, list]]:
    taken: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(json.loads(body))
            self.send_response(204 if self.path == "/ok" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet: tests read what was taken."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    server.server_close()


@pytest.fixture
def mail_server() -> Iterator[tuple[int, list]]:
    taken: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                word = line.split()[0].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (text := self.rfile.readline()) != b".\r\n":
                        lines.append(text.decode())
                    taken.append("".join(lines))
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
                if word == b"QUIT":
                    return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], taken
    server.shutdown()
    server.server_close()


def test_an_alarm_goes_out_on_every_channel_and_its_states_are_recorded(
    tmp_path, webhook, mail_server
):
    address, posted = webhook
    port, mailed = mail_server
    here = settings.load(
        {}, home=tmp_path, alarm_webhook=f"{address}/ok", alarm_mail_to="ops@bank.example",
        smtp_host="127.0.0.1", smtp_port=port,
    )  # fmt: skip
    outcome = notify.alarm(here, "task_failed", "paylake_publish.publish", "exit 12: 被扣住", DAY)
    assert {(s.channel, s.error) for s in outcome} == {("webhook", None), ("mail", None)}
    assert posted[0]["alarm_code"] == "task_failed" and posted[0]["business_date"] == str(DAY)
    assert "被扣住" in posted[0]["text"]
    assert "ops@bank.example" in mailed[0] and "task_failed 2026-10-09" in mailed[0]
    rows = ops.rows(here, "alarm")
    assert [(r["state"], r["channel"]) for r in rows] == [
        ("raised", None), ("sent", "webhook"), ("sent", "mail"),
    ]  # fmt: skip


def test_no_channel_records_alone(tmp_path):
    here = settings.load({}, home=tmp_path)
    assert notify.alarm(here, "late_delivery", "transaction", "It is late.", DAY) == []
    assert [r["state"] for r in ops.rows(here, "alarm")] == ["raised"]


def test_a_failing_channel_is_an_alarm_until_it_takes_a_message_again(tmp_path, webhook):
    address, _ = webhook
    broken = settings.load({}, home=tmp_path, alarm_webhook=f"{address}/broken")
    for _ in range(2):
        (sent,) = notify.alarm(broken, "task_failed", "x", "It failed.", DAY)
        assert "500" in sent.error
    state = "alarm_code = 'channel_failed'"
    (row,) = ops.latest(broken, "alarm", state)
    assert (row["subject"], row["state"], row["severity"]) == ("webhook", "raised", "critical")
    assert [r["state"] for r in ops.latest(broken, "alarm", "alarm_code = 'task_failed'")] == [
        "raised"
    ]
    mended = settings.load({}, home=tmp_path, alarm_webhook=f"{address}/ok")
    notify.alarm(mended, "task_failed", "y", "It failed.", DAY)
    assert ops.latest(mended, "alarm", state)[0]["state"] == "cleared"


def test_a_channel_that_never_answers_costs_a_bounded_time(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "SECONDS", 0.3)
    silent = socketserver.ThreadingTCPServer(
        ("127.0.0.1", 0),
        type("Silent", (socketserver.BaseRequestHandler,), {"handle": lambda self: time.sleep(2)}),
    )
    silent.daemon_threads = True
    threading.Thread(target=silent.serve_forever, daemon=True).start()
    port = silent.server_address[1]
    here = settings.load(
        {}, home=tmp_path, alarm_webhook=f"http://127.0.0.1:{port}/", alarm_mail_to="a@b.example",
        smtp_host="127.0.0.1", smtp_port=port,
    )  # fmt: skip
    began = time.monotonic()
    outcome = notify.alarm(here, "task_failed", "x", "It failed.", DAY)
    assert time.monotonic() - began < 3
    assert len(outcome) == 2 and all(sent.error for sent in outcome)
    silent.shutdown()
    silent.server_close()


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("card 6222020200112233445", "card *******************"),
        ("电话13800138000。", "电话***********。"),
        ("id 11010119900307123X", "id ******************"),
        ("P2026100900004885 of 2026-10-09", "P2026100900004885 of 2026-10-09"),
        ("48 items, ¥1,288.00", "48 items, ¥1,288.00"),
    ],
)
def test_nothing_like_an_identifier_leaves_the_house(text, sent):
    assert notify.scrub(text) == sent


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"alarm_webhook": "file:///etc/passwd"}, "alarm_webhook"),
        ({"alarm_mail_to": "a@b.example"}, "smtp_host"),
    ],
)
def test_a_setting_that_cannot_work_is_named(tmp_path, given, word):
    with pytest.raises(UsageFault) as caught:
        notify.channels(settings.load({}, home=tmp_path, **given))
    assert word in caught.value.sentence()
