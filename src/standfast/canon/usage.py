"""Tokens that one reply reports to have used."""

import msgspec

# `gc=False` on values: none can lead back to itself, so the garbage collector need not look.


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Token counts in OpenAI's convention.

    `cached` and `cache_written` are inside `prompt`, `reasoning` is inside `completion`; formats whose provider counts
    them apart (Anthropic, Gemini) add them up while reading.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt + self.completion

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.cache_written + other.cache_written,
            self.reasoning + other.reasoning,
        )
