"""The console on a server's port (`server.annex`): adds its routes to the app, and begins to look."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from standfast.console.window import Window

if TYPE_CHECKING:  # slow to import; `install` is called on a thread
    from fastapi import FastAPI

log = logging.getLogger("standfast")


class Console:
    """The window with its routes.

    Args:
        window: of the process.
    """

    def __init__(self, window: Window) -> None:
        self.window = window

    def install(self, app: "FastAPI") -> None:
        """Add the page and what it asks; without a page (it was not built) the rest works on."""
        from standfast.console.admin import admin_router  # noqa: PLC0415 - FastAPI is imported late
        from standfast.console.pages import page_router, read_page  # noqa: PLC0415 - the same

        app.include_router(admin_router(self.window))
        try:
            files: Mapping[str, bytes] = read_page()
        except FileNotFoundError as error:
            log.error("the console has no page: %s", error)  # noqa: TRY400 - nothing to trace
            files = {}
        app.include_router(page_router(files))

    def start(self) -> None:
        """Begin to look."""
        self.window.start()

    async def stop(self) -> None:
        """Look no more."""
        await self.window.stop()
