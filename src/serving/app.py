"""The addresses of the server: the page, /predict, /healthz and /metrics."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..errors import UserError
from ..log import log
from .guard import Guard
from .limits import RefusedError
from .network import Network
from .uploads import Uploads

Result = TypeVar("Result")

PAGE = Path(__file__).with_name("page")
_RETRY = {429: {"retry-after": "1"}, 503: {"retry-after": "1"}}


def create_app(network: Network, token: bytes = b"") -> Starlette:
    """The ASGI application of a loaded network; a token that is not empty is asked for."""
    service = _Service(network, bool(token))
    routes = [
        Route("/", service.file("index.html")),
        Route("/page.css", service.file("page.css")),
        Route("/page.js", service.file("page.js")),
        Route("/predict", service.predict, methods=["POST"]),
        Route("/healthz", service.health),
        Route("/metrics", service.metrics),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, monitor=network.monitor)],
        exception_handlers={RefusedError: _refused, HTTPException: _not_there, UserError: _failed},
        lifespan=service.lifespan,
    )


class _Service:
    def __init__(self, network: Network, asks_for_token: bool):
        self.network = network
        self.asks_for_token = asks_for_token
        self.uploads = Uploads(network.limits)
        network.monitor.queue.set_function(lambda: network.inside)

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Runs the network between the server's start and its end."""
        self.batches = self.network.batches()
        task = asyncio.create_task(self.batches.run())
        yield
        task.cancel()

    def file(self, name: str) -> Any:
        """Answers with a file of the page."""

        async def answer(_request: Request) -> Response:
            return FileResponse(PAGE / name)

        return answer

    async def health(self, _request: Request) -> Response:
        """Says that the server is up, and what the page must know."""
        about = {"network": self.network.path.name, "classes": len(self.network.model.classes)}
        return JSONResponse(
            {"status": "ok", **about, "explains": self.network.explains, "asks_for_token": self.asks_for_token}
        )

    async def metrics(self, _request: Request) -> Response:
        """The counters."""
        return Response(self.network.monitor.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def predict(self, request: Request) -> Response:
        """Classifies the pictures of a request: `?top_k=3`, `?explain=1`."""
        started = time.perf_counter()
        top_k = request.query_params.get("top_k", "")
        if top_k and not (top_k.isdecimal() and 0 < int(top_k[:9]) <= len(self.network.model.classes)):
            raise RefusedError(400, f"top_k: expected 1 to {len(self.network.model.classes)}")
        explain = request.query_params.get("explain", "0") == "1"
        if explain and not self.network.explains:
            raise RefusedError(400, f"explain: {self.network.path.name} gives logits alone; serve its checkpoint")
        pictures = await self.uploads.pictures(request)
        contents = [picture.content for picture in pictures]
        answering = self.network.answer(self.batches, contents, int(top_k or 0) or None, explain)
        answers = await self._while_connected(request, answering)
        seconds = time.perf_counter() - started
        self.network.monitor.seconds.observe(seconds)
        named = [{"image": picture.name, **answer} for picture, answer in zip(pictures, answers)]
        return JSONResponse({"images": named, "milliseconds": round(1000 * seconds, 2)})

    async def _while_connected(self, request: Request, work: Awaitable[Result]) -> Result:
        """The result of work that nobody needs any more when its client has gone, or after a time."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
        seconds = self.network.limits.seconds
        try:
            await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                raise RefusedError(400, "the connection was cut before the answer was there")
            raise RefusedError(503, f"no answer within {seconds:g} seconds; try again later")
        finally:
            task.cancel()
            gone.cancel()


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": error.message}, error.status, _RETRY.get(error.status))


async def _not_there(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _failed(_request: Request, error: Exception) -> Response:
    log.error("error: %s", error)
    return JSONResponse({"error": "the network cannot answer; the server's log says why"}, 500)
