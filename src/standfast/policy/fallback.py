"""The last resort: a fixed message in place of an error."""

from typing import Annotated

from pydantic import Field

from standfast.canon.settings import Settings

MESSAGE_CHARS = 10_000


class FallbackSettings(Settings):
    """A message that is given as a complete answer when no target and no kept answer can serve a chat request.

    It is marked (`x-standfast-source: fallback`, `x-standfast-fallback: true`), and never given for a request that is
    itself at fault, after content, to a caller who wants no fallback, or where it would break the rules that hold for
    the answer (`validate`, or JSON demanded by `response_format`).

    Attributes:
        message: the text. Empty for none, where the default has one.
    """

    message: Annotated[str, Field(max_length=MESSAGE_CHARS)]
