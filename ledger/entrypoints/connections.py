"""Connections of the HTTP service: a slow client is cut, and too many are told so, each by name.

A request's head and its body each have a time in which they must arrive, and an answer in which it,
or a good part of it, must be taken; a request that arrives whole and an answer that the socket
takes, as nearly all do, cost next to nothing here. When there is no room for another connection,
the one that has waited longest for its next request gives way, else the one whose request or answer
has been on its way longest, so that neither idle nor slow clients keep others out; only when all
are at work is the new one refused. One that is refused never takes part: it is told
with its first bytes, because it may not listen before, or after a second, and cut.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ledger.entrypoints.one_write import OneWrite

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol

    from ledger.entrypoints.direct import Direct
else:
    Protocol = AutoHTTPProtocol

#: Seconds from a request's first byte (or the connection) to the end of its head, and from there to
#: the end of its body: 4 MB in that time are 140 KB a second.
HEAD_SECONDS, BODY_SECONDS = 10.0, 30.0
#: Seconds in which a client must take all that it was sent, or so many bytes of it: a long answer
#: may take long, but not at less than 9 KB a second.
ANSWER_SECONDS, TAKEN_BYTES = 30.0, 262_144
#: Bytes of a request's head, and open connections of one service.
HEAD_BYTES, CONNECTIONS = 65_536, 500
#: Seconds that a refused connection has for its first bytes, and how many may wait for theirs;
#: seconds that an answer which cuts a connection has to be taken.
REFUSED_SECONDS, REFUSED, LINGER_SECONDS = 1.0, 50, 2.0

_STATUS = {
    found.value: b"HTTP/1.1 %d %b\r\n" % (found.value, found.phrase.encode())
    for found in HTTPStatus
}
_LATE = (408, b"Request Timeout", "request_timeout", "the request did not arrive in time",
         "send it again, whole")
_LARGE = (431, b"Request Header Fields Too Large", "head_too_large",
          f"the head has more than {HEAD_BYTES} bytes", "send a shorter one")
_FULL = (503, b"Service Unavailable", "too_many_connections",
         "as many connections as this service takes are at work", "send it again later")


def guarded(
    head_seconds: float = HEAD_SECONDS, body_seconds: float = BODY_SECONDS,
    answer_seconds: float = ANSWER_SECONDS, most: int = CONNECTIONS,
    told: Callable[[int | None, str], None] = lambda status, reason: None,
    direct: Direct | None = None,
) -> type[asyncio.Protocol]:
    """The protocol class of one service, for uvicorn's `http`.

    :param told: is called with status and reason of each refusal; without a status when an answer
        was not taken
    :param direct: answers some requests past the application, if they arrive whole
    """
    idle: dict[Any, None] = {}  # connections that were answered and kept open, the longest first
    slow: dict[Any, None] = {}  # those whose request or answer is on its way, the longest first
    refused: dict[Any, None] = {}  # those for which there was no room and that were not told yet
    leaving: set[Any] = set()  # those that are told to go, which take no room

    class Guarded(Protocol):
        """One connection."""

        _timer: asyncio.TimerHandle | None = None
        _body_of: Any = None  # the request whose body the timer is for
        _head = 0  # bytes of a head that is not whole
        _taking: asyncio.TimerHandle | None = None  # runs while something sent is not taken
        _untaken = 0  # bytes of it when the timer was set
        _receiving = False  # whether what came is being read
        _held: tuple[Any, Any] | None = None  # a request for `direct`, and the application

        def connection_made(self, transport: Any) -> None:
            super().connection_made(OneWrite(transport, self.loop))
            transport.set_write_buffer_limits(high=0)  # whatever is not taken is told below
            if len(self.connections) - len(leaving) > most:
                if idle:
                    next(iter(idle))._leave()
                elif slow:
                    next(iter(slow))._late()
                else:
                    self._refuse()
                    return
            self._arm(head_seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            self._taken()
            self._disarm()
            leaving.discard(self)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self in leaving:
                if self in refused:
                    self._tell(*_FULL)
                return
            idle.pop(self, None)
            self._receiving = True
            super().data_received(data)
            self._receiving = False
            self._guard(data)
            if self._held is not None:
                held, self._held = self._held, None
                self._begin(*held)

        def _guard(self, data: bytes) -> None:
            """Set or end the timer of what came in part or whole."""
            cycle = self.cycle
            if cycle is None or cycle.response_complete:  # a part of a head
                self._head += len(data)
                if self._head > HEAD_BYTES:
                    self._tell(*_LARGE)
                elif self._timer is None:
                    self._arm(head_seconds)
                return
            self._head = 0
            if not cycle.more_body:
                if self._timer is not None:
                    self._disarm()
            elif self._body_of is not cycle:
                self._body_of = cycle
                self._disarm()
                self._arm(body_seconds)

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            # Called with the head of a request; whether its body came with it is known later. One
            # that had to wait for another on its connection goes to the application.
            if self._receiving and direct is not None and direct.takes(cycle.scope):
                self._held = cycle, app
            else:
                super()._start_asgi_task(cycle, app)

        def _begin(self, cycle: Any, app: Any) -> None:
            """Answer a request past the application, or give it to that: what is on its way is
            waited for there, and so is a client that does not take its answers."""
            if (
                cycle.more_body or cycle.waiting_for_100_continue or self.flow.write_paused
                or self.transport.is_closing()
            ):
                super()._start_asgi_task(cycle, app)
                return
            body, cycle.body = bytes(cycle.body), bytearray()
            direct.post(cycle.scope, body, partial(self._reply, cycle))

        def _reply(self, cycle: Any, status: int, head: bytes, body: bytes) -> None:
            """As the server answers for the application, at once."""
            if cycle.disconnected:
                return
            cycle.response_started = cycle.response_complete = True
            lines = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
            if not cycle.keep_alive:
                lines.append(b"connection: close\r\n")
            self.transport.write(
                b"%b%b%b\r\n%b" % (_STATUS[status], b"".join(lines), head, body)
            )
            if not cycle.keep_alive:
                self.transport.close()
            cycle.on_response()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if (
                self.cycle.response_complete and self not in slow
                and not self.transport.is_closing()
            ):
                idle[self] = None

        def pause_writing(self) -> None:
            super().pause_writing()
            if self not in leaving:
                slow[self] = None
                self._wait()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._taken()
            if self._timer is None:
                slow.pop(self, None)
                if (
                    self.cycle is not None and self.cycle.response_complete
                    and not self.transport.is_closing()
                ):
                    idle[self] = None

        def _wait(self) -> None:
            self._untaken = self._left()
            self._taking = self.loop.call_later(answer_seconds, self._look)

        def _look(self) -> None:
            if self._untaken - self._left() >= TAKEN_BYTES:
                self._wait()
            else:
                self._cut()

        def _left(self) -> int:
            """Bytes that the client has not acknowledged: of the socket, which takes megabytes and
            asks for more only when a third of them is gone, and those that wait for it."""
            queued = fcntl.ioctl(
                self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4)
            )
            return int.from_bytes(queued, sys.byteorder) + self.transport.get_write_buffer_size()

        def _taken(self) -> None:
            if self._taking is not None:
                self._taking.cancel()
                self._taking = None

        def send_400_response(self, msg: str) -> None:
            self._tell(400, b"Bad Request", "not_http", msg, "send HTTP/1.1")

        def _arm(self, seconds: float) -> None:
            slow[self] = None
            self._timer = self.loop.call_later(seconds, self._late)

        def _refuse(self) -> None:
            leaving.add(self)
            refused[self] = None
            self._timer = self.loop.call_later(REFUSED_SECONDS, self._tell, *_FULL)
            if len(refused) > REFUSED:
                next(iter(refused))._tell(*_FULL)

        def _disarm(self) -> None:
            idle.pop(self, None)
            refused.pop(self, None)
            if self._taking is None:
                slow.pop(self, None)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            if self._taking is not None:
                self._cut()
            elif self.cycle is None or not self.cycle.response_started:
                self._tell(*_LATE)
            else:
                self._leave()

        def _cut(self) -> None:
            told(None, "answer_not_taken")
            self._give_way()
            self.transport.abort()

        def _give_way(self) -> None:
            """From now on, not only when it is lost: others may come before."""
            self._taken()
            self._disarm()
            leaving.add(self)

        def _leave(self) -> None:
            self._give_way()
            self.transport.close()  # which waits until all that was written is taken
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)

        def _tell(
            self, status: int, phrase: bytes, reason: str, what: str, next_step: str
        ) -> None:
            told(status, reason)
            body = orjson.dumps(
                {"error": {"reason": reason, "what": what, "next_step": next_step}}
            )
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"cache-control: no-store\r\nconnection: close\r\n\r\n%b"
                % (status, phrase, len(body), body)
            )
            self._leave()

    return Guarded
