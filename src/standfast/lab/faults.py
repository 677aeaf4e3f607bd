"""One `Fault`: everything that a stand-in provider can do wrong, as one frozen value.

A fault is written three ways: as Python (`Fault(status=503)`), as JSON through the control API (`{"status": 503}`) and
as text behind a model name or in the `x-lab-fault` header (`status=503,retry-after=2`). In text a bare name is a switch
(`reset`), and a name with a hyphen is a reply header.

Fields fall in four groups: *when* the fault applies, *what* is answered, *when* bytes come, and *how* bytes break.
Positions count content chunks: 0 is before the first token. A break always breaks: a position past the end of the
answer means after the last token and before the finish. A whole (not streamed) body counts as four chunks.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from standfast.canon.settings import Seconds, Settings

Count = Annotated[int, Field(ge=0)]
Duration = Annotated[Seconds, Field(ge=0)]
Cut = Literal["close", "reset", "clean_end"]

FROM_STATUS = {
    400: "bad_request",
    401: "invalid_key",
    402: "billing",
    403: "forbidden",
    404: "model_not_found",
    408: "timeout",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
"""The canned body of a status that names none; any other error status answers `server_error`."""


class Fault(Settings):
    """What one provider does wrong. Durations in seconds, sizes in bytes.

    Attributes:
        rate: probability that a request meets the fault (drawn from the lab's seeded source).
        times: only so many requests, then the fault is gone; 0 for no limit.
        every: only each Nth request.
        flap_up: square wave: so long well ...
        flap_down: ... then so long ill; both 0 for always ill. The wave starts well, when the fault is armed.
        model: only requests for this model.
        key: only requests with a key that ends so.
        scope: `generate` leaves the models list and /health well (a health check that lies), `all` breaks them too.
        status: HTTP status of the answer; without `body` the usual body of that status.
        body: a canned body (`standfast.lab.bodies.names()`); without `status` with its usual status.
        headers: added to the answer, replacing ours of the same name.
        content_type: instead of the right one.
        redirect: answer 307 to this URL.
        tokens: length of the answer instead of its natural one.
        delay: before the head.
        first_token_delay: between the head and the first content.
        chunk_delay: between content chunks.
        comments_every: while nothing comes, a comment or ping (in whole bodies a blank line) so often.
        pings_only: head, then pings for ever (every `comments_every`, or each second).
        stall_after_chunks: so many chunks, then silence with the connection open.
        cut_after_chunks: so many chunks, then the end in the manner of `how`.
        how: `close` inside a chunk, `reset` (RST), or `clean_end`: well-formed HTTP without the rest of the answer.
        error_event_after_chunks: so many chunks, then an in-band error.
        done_after_error: `[DONE]` follows the in-band error, as with vLLM.
        no_preamble: leave out what comes before the first token (role chunk, message_start).
        no_done: finish as usual, then a well-formed end without `[DONE]` or message_stop (Gemini has none to omit).
        late_chunks: so many content chunks after the finish.
        two_finish_reasons: a second, different finish after the first.
        usage_missing: no usage anywhere.
        huge_event: an event of this size without end (its line feed never comes), sent after the preamble.
        tiny_events: so many empty comments, sent after the preamble.
        hang: accept, read, never answer.
        reset: RST after the request was read, after `delay`.
        refuse: stop listening: connection refused until healed.
        billed: `hang` and `reset`: the model did run and the provider bills the whole answer.
        slice_bytes: write so many bytes at a time.
        bandwidth: bytes per second; 0 for no limit.
        wrong_content_length: added to the true Content-Length.
        bad_gzip: says gzip and is not.
        gzip_bomb: a gzip body that inflates to this size (blanks before the true body).
        huge_header: one header of this size.
        many_headers: so many extra headers.
        obs_fold: a folded header line (obsolete, RFC 9112 section 5.2).
        informational: 100 and 103 come before the answer.
        garbage: so many bytes that are not HTTP instead of an answer, then the end.
    """

    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    times: Count = 0
    every: Annotated[int, Field(ge=1)] = 1
    flap_up: Duration = 0.0
    flap_down: Duration = 0.0
    model: str = ""
    key: str = ""
    scope: Literal["generate", "all"] = "generate"

    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: str = ""
    headers: Mapping[str, str] = {}
    content_type: str = ""
    redirect: str = ""
    tokens: Count = 0

    delay: Duration = 0.0
    first_token_delay: Duration = 0.0
    chunk_delay: Duration = 0.0
    comments_every: Duration = 0.0
    pings_only: bool = False

    stall_after_chunks: Count | None = None
    cut_after_chunks: Count | None = None
    how: Cut = "close"
    error_event_after_chunks: Count | None = None
    done_after_error: bool = False
    no_preamble: bool = False
    no_done: bool = False
    late_chunks: Count = 0
    two_finish_reasons: bool = False
    usage_missing: bool = False
    huge_event: Count = 0
    tiny_events: Count = 0

    hang: bool = False
    reset: bool = False
    refuse: bool = False
    billed: bool = False
    slice_bytes: Count = 0
    bandwidth: Count = 0
    wrong_content_length: int = 0
    bad_gzip: bool = False
    gzip_bomb: Count = 0
    huge_header: Count = 0
    many_headers: Count = 0
    obs_fold: bool = False
    informational: bool = False
    garbage: Count = 0

    @model_validator(mode="after")
    def _sense(self) -> "Fault":
        if (self.flap_up > 0) != (self.flap_down > 0):
            raise ValueError("flap_up and flap_down go together")
        if self.refuse and (self.flap_down or self.times or self.every > 1 or self.rate < 1 or self.model or self.key):
            raise ValueError("refuse closes the port for everybody until healed; it takes no rate, times, model or key")
        for name, value in self.headers.items():
            if not re.fullmatch(r"[!-9;-~]+", name) or re.search(r"[\r\n\0]", value):
                raise ValueError(f"header {name!r} is not a header; use garbage, obs_fold or huge_header to break HTTP")
        return self

    @property
    def canned(self) -> str:
        """The canned body to answer with; empty for the true answer."""
        if self.body or self.status is None or self.status < 400:  # noqa: PLR2004 - errors begin here (RFC 9110)
            return self.body
        return FROM_STATUS.get(self.status, "server_error")


NONE = Fault()
"""The fault of a healthy provider."""


def parse_fault(text: str) -> Fault:
    """The fault of a line such as `status=503,retry-after=2` or `cut_after_chunks=3,how=reset`.

    Raises:
        ValueError: an unknown name or a value out of range, in words.
    """
    values: dict[str, object] = {}
    headers: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, given, value = part.partition("=")
        if "-" in name:
            headers[name.strip()] = value.strip()
        else:
            values[name.strip()] = value.strip() if given else True
    return read_fault({**values, "headers": headers})


def read_fault(value: object) -> Fault:
    """The fault of a text or of a mapping, as the control API takes it.

    Raises:
        ValueError: an unknown name or a value out of range, in words.
    """
    if isinstance(value, str):
        return parse_fault(value)
    try:
        return Fault.model_validate(value)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, at['loc'])) or 'fault'}: {at['msg']}" for at in error.errors())
        raise ValueError("; ".join(lines)) from None
