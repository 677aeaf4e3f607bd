"""The page itself: what `web/` was built into, served from memory under a policy that lets it load nothing else."""

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from standfast.errors import UnknownPath

STATIC: Final = Path(__file__).with_name("static")

POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
"""For files with their content's hash in the name."""


def read_page(folder: Path = STATIC) -> Mapping[str, bytes]:
    """All files of the page by their path below `/console/`.

    Raises:
        FileNotFoundError: there is none; the package was put together without it.
    """
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if "index.html" not in found:
        raise FileNotFoundError(f"{folder} has no index.html: build the page with `make page`")
    return found


def page_router(files: Mapping[str, bytes]) -> APIRouter:
    """`/console` and what lies below it. It holds no data, so nobody is asked for a key; the data asks."""
    router = APIRouter(include_in_schema=False)

    @router.get("/console/")
    async def index() -> Response:
        if "index.html" not in files:
            raise UnknownPath("The console's page was not built; `make page` builds it. The API at /admin works.")
        return Response(files["index.html"], media_type="text/html", headers={**_HEADERS, "cache-control": "no-cache"})

    @router.get("/console")
    async def without_slash() -> Response:
        return RedirectResponse("/console/", 308)

    @router.get("/console/{name:path}")
    async def file(name: str) -> Response:
        if name not in files:
            raise UnknownPath(f"The console has no {name[:200]!r}; it begins at /console/.")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        kept = _FOR_EVER if name.startswith("assets/") else "no-cache"
        return Response(files[name], media_type=kind, headers={**_HEADERS, "cache-control": kept})

    return router
