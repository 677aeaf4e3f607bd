"""Streams of every wire format, written and read as a client would."""

import itertools
import json

from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.chat import Completed, Finish, Finished, Opened, StreamEvent, TextDelta, UsageReport
from standfast.canon.usage import Usage
from standfast.formats.base import Format
from standfast.framing import sse

LIMIT = 1 << 20
NAMES = ("openai_chat", "anthropic_messages", "gemini")
FORMS: dict[str, Format] = {name: plugins.load("formats", name).FORMAT for name in NAMES}


def written(
    form: Format, texts: list[str], *, ends: bool = True, name: str = "id-1", model: str = "m-1"
) -> list[bytes]:
    """A stream of this format: one piece of bytes for each event."""
    writer = form.writer(include_usage=True, created=1_760_000_000)
    events: list[StreamEvent] = [Opened(name, model), *(TextDelta(each) for each in texts if each)]
    if ends:
        events += [UsageReport(Usage(7, 9)), Finished(Finish.STOP), Completed()]
    return [writer.write(event) for event in events]


def read(form: Format, data: bytes) -> tuple[str, list[StreamEvent]]:
    """What a client understands: the text, and the events that are none."""
    decoder = sse.Decoder(LIMIT)
    reader = form.reader()
    events = [found for event in decoder.feed(data) for found in reader.feed(event.name, event.data)] + reader.close()
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return text, [event for event in events if not isinstance(event, TextDelta)]


def cut(text: str, places: list[int]) -> list[str]:
    """The text in pieces."""
    edges = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[start:stop] for start, stop in itertools.pairwise(edges) if stop > start]


def chunk(delta: object, *, index: int = 0, **choice: object) -> bytes:
    """One event of OpenAI's."""
    body = {"id": "x", "model": "m", "created": 1, "choices": [{"index": index, "delta": delta, **choice}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('😀é\u0301"\\\n'), min_size=2, max_size=60)
PLACES = st.lists(st.integers(0, 60), max_size=8)
