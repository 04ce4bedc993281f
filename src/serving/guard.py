"""What every request passes before it is looked at, and what every response says to browsers."""

import hmac
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import is_loopback
from .monitor import Monitor

PROTECTED = ("/predict", "/metrics")
_HEADERS = {
    # The page needs its own files, and pictures that it holds itself.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Asks for the token, keeps other sites' pages out, and counts what was answered.

    Without a token the server is for this machine alone: then a request must name it by a name of this machine, so that a
    page of a stranger whose name was made to lead here (DNS rebinding) gets nothing.

    Args:
        token: what `Authorization: Bearer` must bear; empty: nothing.
    """

    def __init__(self, app: ASGIApp, token: bytes, monitor: Monitor):
        self.app = app
        self.token = token
        self.monitor = monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
                self.monitor.count(scope["path"], message["status"])
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Any:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.token and not is_loopback(_name_of(host)):
            return _refused(403, "this server answers to localhost alone; with --token_file also to other names")
        if origin is not None and urlsplit(origin).netloc != host:
            return _refused(403, "pages of other sites are not answered")
        if self.token and scope["path"] in PROTECTED:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token):
                return _refused(401, "no token, or a wrong one: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})
        return None


def _refused(status: int, message: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


def _name_of(host: str) -> str:
    """The name in a Host header, which may end with a port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
