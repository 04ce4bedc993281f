"""Connections that do not get on with their request are closed."""

from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def impatient_protocol(seconds: float) -> type[H11Protocol]:
    """uvicorn's connections, closed when no head of a request has arrived for `seconds` (at most twice as long).

    uvicorn itself waits for the first head, and for one that has begun, for ever.
    """

    class ImpatientProtocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(seconds, self._watch, (None, True))

        def _watch(self, previous: tuple[Any, bool]) -> None:
            """Closes the connection if it awaits a request, as the last time, and none has come in between."""
            if self.transport.is_closing():
                return
            now = (self.cycle, self.cycle is None or self.cycle.response_complete)
            if now[1] and now == previous:
                self.transport.abort()
                return
            self.loop.call_later(seconds, self._watch, now)

    return ImpatientProtocol
