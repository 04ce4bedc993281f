"""The pictures in a request: its body as it is, or the files of a form."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple, Optional

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .limits import Limits, RefusedError


class Picture(NamedTuple):
    """The content of an image file, and its name where the form gives one."""

    name: Optional[str]
    content: bytes


class Uploads:
    """Receives bodies and counts the bytes of those that are on their way.

    Attributes:
        held: bytes of all bodies that are being received.
    """

    def __init__(self, limits: Limits):
        self.limits = limits
        self.held = 0

    async def pictures(self, request: Request) -> list[Picture]:
        """The pictures of a request.

        Raises:
            RefusedError: too large, too slow, cut, not a form, or without a picture.
        """
        body = await self._body(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
            return [Picture(None, body)]
        return await self._files(request, body)

    async def _body(self, request: Request) -> bytes:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self.limits.most_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            await asyncio.wait_for(self._receive(request, body), self.limits.seconds)
        except asyncio.TimeoutError:
            raise RefusedError(408, f"the request did not arrive within {self.limits.seconds:g} seconds") from None
        except ClientDisconnect:
            raise RefusedError(400, "the connection was cut before the request had arrived") from None
        finally:
            self.held -= len(body)
        return bytes(body)

    async def _receive(self, request: Request, body: bytearray) -> None:
        async for chunk in request.stream():
            if len(body) + len(chunk) > self.limits.most_bytes:
                raise self._too_large()
            if self.held + len(chunk) > self.limits.held_bytes:
                raise RefusedError(503, "too many uploads at a time; try again later")
            body += chunk
            self.held += len(chunk)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"more than the {self.limits.most_bytes} bytes that a request may have")

    async def _files(self, request: Request, body: bytes) -> list[Picture]:
        async def stream() -> AsyncGenerator[bytes, None]:
            yield body

        most = self.limits.most_images
        parser = MultiPartParser(request.headers, stream(), max_files=most, max_fields=most)
        parser.spool_max_size = len(body) + 1  # nothing goes to the disk: all of it is in memory already
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, ValueError) as error:  # Starlette leaves some broken forms to Python
            raise RefusedError(400, f"not a form of files: {getattr(error, 'message', error)}") from None
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        pictures = [Picture(file.filename, await file.read()) for file in files]
        await form.close()
        if not pictures:
            raise RefusedError(400, "the form holds no file")
        return pictures
