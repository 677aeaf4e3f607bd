"""What the control plane reads of a body at most: nobody needs a key to send one, and it is kept in memory."""

from collections.abc import MutableMapping
from typing import Any, Final

import msgspec

from standfast.server.lazy import Application, Receive, Scope, Send

MOST: Final = 1 << 20
"""Bytes; the longest prompt that can be explained is a fifth of that."""

_REFUSAL: Final = msgspec.json.encode(
    {
        "error": {
            "message": f"The body is larger than {MOST:,} bytes, the most that is read here.",
            "type": "invalid_request_error",
            "param": None,
            "code": "payload_too_large",
        }
    }
)


class BodyLimit:
    """An ASGI application that refuses larger bodies, by their length if they tell it, else when they have come.

    Args:
        app: what is behind it.
        most: bytes; for paths of the data plane, which have a limit of their own, `data_most`.
        data_most: the same for what begins with `/v1`, and `/chat`.
    """

    def __init__(self, app: Application, data_most: int, most: int = MOST) -> None:
        self._app = app
        self._most = most
        self._data_most = data_most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        most = self._data_most if path.startswith("/v1") or path == "/chat" else self._most
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(length) > most:  # the parser has seen to it that it is a number
            await _refuse(send)
            return
        await self._counted(scope, receive, send, most)

    async def _counted(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        read, refused = 0, False

        async def counting() -> MutableMapping[str, Any]:
            nonlocal read, refused
            message = await receive()
            read += len(message.get("body", b""))
            if read > most and not refused:
                refused = True
                await _refuse(send)
            return {"type": "http.disconnect"} if refused else message

        async def unless_refused(message: MutableMapping[str, Any]) -> None:
            if not refused:
                await send(message)

        try:
            await self._app(scope, counting, unless_refused)
        except Exception:
            if not refused:  # else it was told that its client went away, and says so
                raise


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(_REFUSAL)).encode()))
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
