"""Everything on the port that is not the data plane: health, metrics, models, docs. An ordinary FastAPI application."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException

from standfast import __version__
from standfast.engine.summary import health_summary
from standfast.errors import StandfastError, Unauthorized, UnknownModel
from standfast.hooks.prometheus import PrometheusHook
from standfast.plugins import unknown
from standfast.server.body_limit import BodyLimit
from standfast.server.bridge import bridge
from standfast.server.data_plane import DataPlane
from standfast.server.status import Status

CREATED = 1_735_689_600  # 2025-01-01: the API wants a date, the configuration has none

DESCRIPTION = """
One OpenAI-compatible door in front of many models and providers, that stays open.

`POST /v1/chat/completions` and `POST /v1/embeddings` take what OpenAI's API takes. Controls travel as `x-standfast-*`
headers or in a `standfast` object of the body; the reply says in `x-standfast-*` headers who answered.
"""

_KEY = Depends(HTTPBearer(auto_error=False, scheme_name="client key", description="One of `keys`, if there are any."))
"""What `/docs` asks for and sends. It is looked at elsewhere."""


def create_app(plane: DataPlane, status: Status, metrics: PrometheusHook) -> FastAPI:
    """The control-plane application."""
    app = FastAPI(
        title="Standfast",
        version=__version__,
        description=DESCRIPTION,
        redoc_url=None,
        docs_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    patch_fastapi(app, docs_url="/docs", redirect_from_root_to_docs=True)  # from here, not from a content network
    _add_health(app, plane, status)
    _add_metrics(app, metrics)
    _add_models(app, plane)
    _add_data_plane(app, plane)
    _add_errors(app)
    app.add_middleware(BodyLimit, data_most=plane.gateway.snapshot.config.server.limits.body_bytes)
    return app


def _add_health(app: FastAPI, plane: DataPlane, status: Status) -> None:
    @app.get("/health", tags=["health"])
    @app.get("/v1/health", tags=["health"])
    def health() -> JSONResponse:
        """Status of the gateway, of each model and of each target; 503 only when every model is unhealthy."""
        summary = health_summary(plane.gateway)
        return JSONResponse(summary, 503 if summary["status"] == "unhealthy" else 200)

    @app.get("/livez", tags=["health"])
    def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["health"])
    def readyz() -> JSONResponse:
        """Ready for new requests. A refused reload is told here; the old configuration serves on."""
        body: dict[str, object] = {"ready": not status.draining, "reloads": status.reloads}
        if status.draining:
            body["reason"] = "draining"
        if status.reload_error:
            body["reload_error"] = status.reload_error
        return JSONResponse(body, 503 if status.draining else 200)


def _add_metrics(app: FastAPI, metrics: PrometheusHook) -> None:
    @app.get("/metrics", tags=["metrics"], response_class=PlainTextResponse)
    def prometheus(accept: Annotated[str, Header()] = "") -> Response:
        """Prometheus text; a JSON summary for `Accept: application/json`."""
        if "application/json" in accept.lower():
            return JSONResponse(metrics.summary())
        body, content_type = metrics.exposition()
        return Response(body, media_type=content_type)


def _add_models(app: FastAPI, plane: DataPlane) -> None:
    def caller(request: Request) -> str:
        return plane.callers.name(dict(request.headers.raw))

    def entry(name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": CREATED, "owned_by": "standfast"}

    @app.get("/v1/models", tags=["models"], dependencies=[_KEY])
    def models(_: Annotated[str, Depends(caller)]) -> dict[str, object]:
        """What clients may name."""
        return {"object": "list", "data": [entry(name) for name in plane.gateway.snapshot.names]}

    @app.get("/v1/models/{model:path}", tags=["models"], dependencies=[_KEY])
    def model(model: str, _: Annotated[str, Depends(caller)]) -> dict[str, object]:
        """One of them."""
        names = plane.gateway.snapshot.names
        if model not in names:
            raise UnknownModel(unknown("model", model[:256], names))
        return entry(model)


_CHAT: dict[str, object] = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]}
_EXAMPLES: dict[str, tuple[str, dict[str, object]]] = {
    "/v1/chat/completions": ("Chat, streaming (`stream: true`) and not, as in OpenAI's API.", _CHAT),
    "/v1/embeddings": ("Embeddings, as in OpenAI's API.", {"model": "text-embedding-3-small", "input": "hello"}),
    "/chat": (
        "One prompt in, one flat object out.",
        {"prompt": "hello", "system_prompt": "Be brief.", "use_fallback": True},
    ),
}


def _add_data_plane(app: FastAPI, plane: DataPlane) -> None:
    async def answer(request: Request) -> Response:
        return await bridge(plane, request)

    for path, (summary, example) in _EXAMPLES.items():
        body = {"content": {"application/json": {"example": example, "schema": {"type": "object"}}}, "required": True}
        extra = {"requestBody": body}
        app.post(path, tags=["data plane"], summary=summary, openapi_extra=extra, dependencies=[_KEY])(answer)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(StandfastError)
    def ours(request: Request, error: Exception) -> JSONResponse:
        del request
        assert isinstance(error, StandfastError)  # noqa: S101 - registered for exactly that
        headers = {"www-authenticate": "Bearer"} if isinstance(error, Unauthorized) else None
        return _error(error.status, error.message, error.type, error.code, headers)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for exactly that
        message = str(error.detail)
        if error.status_code == 404:  # noqa: PLR2004 - HTTP's word for not found
            message = f"Nothing is served at {request.method} {request.url.path[:200]}. See /docs for what is."
        code = {404: "unknown_path", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        return _error(error.status_code, message, "invalid_request_error", code, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for exactly that
        said = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in error.errors())  # not what was sent: a key
        if "json" not in request.headers.get("content-type", "").lower():
            said += ". Send JSON, with the header 'content-type: application/json'."
        return _error(400, said, "invalid_request_error", "invalid_request", None)


def _place(location: Iterable[object]) -> str:
    """`body.targets.0` for where a mistake is."""
    return ".".join(str(each) for each in location)


def _error(status: int, message: str, kind: str, code: str, headers: dict[str, str] | None) -> JSONResponse:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, headers)
