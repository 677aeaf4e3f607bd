"""The routes below `/admin`: everything the page does, for programs too. Deny by default: the router itself asks.

Reading takes a viewer, changing an operator; see `access`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

import yaml
from fastapi import APIRouter, Depends, Request, Response, WebSocket
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect, WebSocketState

from standfast.config.environment import redacted
from standfast.console.access import COOKIE, Closed, KeyNeeded, SwitchedOff, Viewer
from standfast.console.feed import Reader
from standfast.console.window import Window
from standfast.engine.inquiry import read_controls
from standfast.errors import StandfastError, Unauthorized

log = logging.getLogger("standfast")

SIGN_IN_AGAIN: Final = 4401
"""Close code of a websocket whose reader may not look (any more)."""


class ReloadRefused(StandfastError):
    """The new configuration cannot be put to work; the old one serves on."""

    status = 409
    code = "reload_refused"
    type = "invalid_request_error"


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignIn(_Asked):
    """A console key."""

    key: Annotated[str, Field(max_length=1_000)]


class ForceBreaker(_Asked):
    """An operator's word about one target's breaker: `open`, `closed`, or null to leave it to itself again."""

    target: str
    state: Literal["open", "closed"] | None


class OrderChecks(_Asked):
    """Which targets to check, all if null; `generate` asks each for a word, which costs money."""

    kind: Literal["ping", "generate"] = "ping"
    targets: list[str] | None = None


class Explain(_Asked):
    """A request to explain; nothing is sent."""

    model: str = "auto"
    prompt: Annotated[str, Field(min_length=1, max_length=200_000)]
    stream: bool = False
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    priority: Annotated[int, Field(ge=1, le=5)] | None = None
    prefer: Literal["cost", "speed", "quality"] | None = None
    kind: str | None = None
    session: str | None = None
    max_cost_usd: Annotated[float, Field(gt=0)] | None = None
    max_latency_ms: Annotated[int, Field(ge=1)] | None = None


def admin_router(window: Window) -> APIRouter:
    """All of them."""

    def looks(request: Request) -> Viewer:
        return window.access.look(_headers(request))

    key = Depends(HTTPBearer(auto_error=False, scheme_name="console key", description="One of `console.keys`."))
    router = APIRouter(prefix="/admin/api", tags=["console"], dependencies=[Depends(looks), key])
    _add_views(router, window, looks)
    _add_actions(router, window)
    whole = APIRouter()
    whole.include_router(_sign_in_router(window))
    whole.include_router(router)
    _add_feed(whole, window)
    return whole


def _sign_in_router(window: Window) -> APIRouter:
    """How a browser comes by its cookie: the one route that asks for no key, because it is given one."""
    router = APIRouter(prefix="/admin/api", tags=["console"])

    @router.post("/session", response_model=None)
    async def sign_in(request: Request, body: SignIn) -> Response:
        """Sign in with a console key; the answer's cookie does the rest."""
        try:
            viewer, cookie, seconds = window.access.sign_in(body.key, _headers(request))
        except Unauthorized:
            log.warning("console: a wrong key was given from %s", request.client.host if request.client else "nowhere")
            raise
        answer = _json(window, window.session(viewer))
        if cookie:
            secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
            answer.set_cookie(COOKIE, cookie, seconds, path="/admin", secure=secure, httponly=True, samesite="strict")
            log.warning("console: %s (%s) signed in", viewer.name, viewer.role)
        return answer

    return router


def _add_views(router: APIRouter, window: Window, looks: object) -> None:
    viewer_of = Depends(looks)  # type: ignore[arg-type] # a callable, typed loosely on the way here

    @router.get("/session", response_model=None)
    async def session(viewer: Annotated[Viewer, viewer_of]) -> Response:
        """Who you are, and at which process you look."""
        return _json(window, window.session(viewer))

    @router.delete("/session", status_code=204)
    async def sign_out(request: Request, response: Response) -> None:
        """Remove the cookie."""
        window.access.check_origin(_headers(request))
        response.delete_cookie(COOKIE, path="/admin", httponly=True, samesite="strict")

    @router.get("/snapshot", response_model=None)
    async def snapshot(viewer: Annotated[Viewer, viewer_of]) -> Response:
        """Everything that the page shows, at once: models, targets, the last quarter of an hour, events, requests."""
        return Response(await window.everything(viewer), media_type="application/json", headers=_PRIVATE)

    @router.get("/history", response_model=None)
    async def history() -> Response:
        """The last day, minute by minute."""
        return _json(window, {"minutes": await window.minutes()})

    @router.get("/config")
    async def config(response: Response) -> dict[str, str | None]:
        """The effective configuration as YAML, secrets hidden."""
        response.headers.update(_PRIVATE)
        shown = yaml.safe_dump(redacted(window.gateway.snapshot.config), sort_keys=False, allow_unicode=True)
        return {"path": window.around.path or None, "text": shown}

    @router.post("/explain", response_model=None)
    async def explain(body: Explain) -> Response:
        """Where a request would go now and why. Sends nothing."""
        given = {"kind": body.kind, "priority": body.priority, "prefer": body.prefer, "session": body.session}
        limits = {"max-cost-usd": body.max_cost_usd, "max-latency-ms": body.max_latency_ms}
        controls = {name: value for name, value in {**given, **limits}.items() if value not in (None, "")}
        asked: dict[str, Any] = {} if body.max_tokens is None else {"max_tokens": body.max_tokens}
        messages = [{"role": "user", "content": body.prompt}]
        decision = window.gateway.explain(
            body.model, messages, controls=read_controls(controls), stream=body.stream, **asked
        )
        return _json(window, decision)


def _add_actions(router: APIRouter, window: Window) -> None:
    def acts(request: Request) -> Viewer:
        return window.access.act(_headers(request))

    operator = Annotated[Viewer, Depends(acts)]

    @router.post("/breaker", status_code=204)
    async def breaker(operator: operator, body: ForceBreaker) -> None:
        """Force a breaker open or closed, or leave it to itself again."""
        name = _name(operator)
        window.force_breaker(body.target, body.state, name)
        told = "left to itself" if body.state is None else f"forced {body.state}"
        log.warning("console: %s: the breaker of %s is %s", name, body.target, told)

    @router.post("/checks")
    async def checks(operator: operator, body: OrderChecks) -> dict[str, object]:
        """Check targets now; what is found counts for their health."""
        reports = window.gateway.checks(body.kind, body.targets)  # knows them all, or raises: before they are logged
        which = "all targets" if body.targets is None else ", ".join(dict.fromkeys(body.targets)) or "no target"
        log.warning("console: %s orders a %s check of %s", _name(operator), body.kind, which)
        return {"reports": [asdict(report) async for report in reports]}

    @router.post("/reload")
    async def reload(operator: operator) -> dict[str, object]:
        """Read the configuration file anew: validated whole, swapped at once, the old one kept on any error."""
        log.warning("console: %s reloads the configuration", _name(operator))
        error, waiting = window.around.reload()
        if error:
            raise ReloadRefused(error)
        return {"waiting_for_restart": waiting}


def _add_feed(router: APIRouter, window: Window) -> None:
    @router.websocket("/admin/ws")
    async def feed(socket: WebSocket) -> None:
        try:
            viewer = window.access.listen(_headers(socket))
        except (Closed, KeyNeeded, SwitchedOff) as error:
            await socket.accept()
            await socket.close(SIGN_IN_AGAIN, error.message[:120])
            return
        except StandfastError:
            await socket.close()  # before it is accepted: HTTP 403
            return
        await socket.accept()
        reader = window.feed.join()
        try:
            await window.looked_at()
            await _attend(socket, window, reader, viewer)
        finally:
            window.leave(reader)


async def _attend(socket: WebSocket, window: Window, reader: Reader, viewer: Viewer) -> None:
    """Tell one reader what there is to tell, until it goes or may not look any more."""
    gone = asyncio.create_task(_gone(socket))
    try:
        while not gone.done():
            coming = asyncio.create_task(reader.next())
            await asyncio.wait((gone, coming), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return
            text = coming.result()
            try:
                viewer = window.access.listen(_headers(socket))
            except StandfastError as error:
                await socket.close(SIGN_IN_AGAIN, error.message[:120])
                return
            if text is None:
                reader.told()
                text = window.first(viewer)
            await socket.send_text(text)
    except (WebSocketDisconnect, RuntimeError):  # it went while it was told
        return
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone


async def _gone(socket: WebSocket) -> None:
    """Wait until the reader goes; what it says meanwhile is not listened to."""
    while socket.client_state is WebSocketState.CONNECTED:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return


_PRIVATE: Final = {"cache-control": "no-store"}


def _json(window: Window, value: object) -> Response:
    return Response(window.text(value), media_type="application/json", headers=_PRIVATE)


def _headers(connection: HTTPConnection) -> Mapping[str, str]:
    """By lower-case name, those that were sent twice joined."""
    headers = connection.headers
    return {name: ("; " if name == "cookie" else ", ").join(headers.getlist(name)) for name in headers}


def _name(viewer: Viewer) -> str:
    return viewer.name or "an operator on this machine"
