r"""The one place where secrets are taken out of text, and where text is made safe for one line of a log.

Two nets, one behind the other: every secret that the configuration knows, verbatim (also as it looks inside JSON and
inside a URL), and everything that has the *shape* of a well-known key, whoever's it is. What is caught becomes
`[redacted]`. Then whatever could forge or hide a log line - control characters, line separators, direction marks,
lone surrogates - is written as a JSON escape (`\n`, `\u001b`), so that a JSON line stays one.

Pure and cheap: a text in which no known secret and no needle of a key shape occurs is only searched, never matched.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

REDACTED = "[redacted]"

SHORTEST_SECRET = 6
"""Known secrets shorter than this are not looked for: they would blank out ordinary words."""

# Each shape with the lower-case needles without which it cannot match. A shape ends before quotes and backslashes, so
# that a replacement inside a JSON string stays inside it.
_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("bearer",), r"(?i:\bbearer)\s+(?!auth|token\b|scheme)[\w.~+/=*-]{4,}"),
    (
        ("key", "auth"),
        r"(?i:\b(?:api[-_]?key|authorization))[\"']?\s*[:=]\s*[\"']?(?i:basic\s+)?[^\s\"'\\,;&{}\[\]]{4,}",
    ),
    (("key=", "token="), r"(?<=[?&])(?i:key|api_key|access_token|token)=[^\s\"'\\&#]+"),
    (("://",), r"(?<=://)[^\s\"'\\/@:]*:[^\s\"'\\/@]+(?=@)"),
    (("sk-",), r"(?<![A-Za-z0-9])c?sk-[A-Za-z0-9_*.-]{6,}"),  # OpenAI, Anthropic, DeepSeek, OpenRouter, Cerebras
    (("aiza",), r"AIza[A-Za-z0-9_-]{10,}"),  # Google
    (("aq.",), r"(?<![A-Za-z0-9])AQ\.[A-Za-z0-9_-]{20,}"),  # Google, newer
    (("ya29.",), r"ya29\.[A-Za-z0-9._-]{10,}"),  # Google OAuth
    (("eyj",), r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),  # JWT
    (("gsk_", "hf_"), r"(?<![A-Za-z0-9])(?:gsk|hf)_[A-Za-z0-9]{12,}"),  # Groq, Hugging Face
    (("xai-", "nvapi-"), r"(?<![A-Za-z0-9])(?:xai|nvapi)-[A-Za-z0-9_-]{12,}"),  # xAI, NVIDIA
    (("akia",), r"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}"),  # AWS
    (("xox",), r"xox[abeoprs]-[A-Za-z0-9-]{8,}"),  # Slack
)
_COMPILED = tuple((needles, re.compile(pattern)) for needles, pattern in _SHAPES)


def scrub(text: str) -> str:
    """`text` with everything of a well-known key shape replaced by `[redacted]`."""
    lowered = text.lower()
    for needles, pattern in _COMPILED:
        for needle in needles:
            if needle in lowered:
                text = pattern.sub(REDACTED, text)
                break
    return text


def escape(text: str) -> str:
    r"""`text` with everything that could end, forge or hide a line written as a JSON escape (`\n`, `\u001b`).

    That is whatever Unicode calls not printable: C0 and C1 controls, line separators, direction marks, lone
    surrogates, private use. A JSON text means the same afterwards.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


class Redactor:
    """Takes known secrets and key shapes out of text, and makes it one safe line.

    Args:
        secrets: what must never be seen; those shorter than `SHORTEST_SECRET` are left out. The longest is replaced
            first, so that a secret that contains another one leaves nothing behind.

    Attributes:
        learnt: how often it was told secrets; what it let pass before the last time must be asked again.
    """

    __slots__ = ("_secrets", "learnt")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.learnt = 0
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these too, from now on; a secret that was known once is never shown again."""
        kept = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        # repr would show secrets; this class has none of its own, and object's shows only an address.
        looks = {look for secret in kept for look in (secret, json.dumps(secret)[1:-1], _quoted(secret))}
        looks.update(self._secrets)
        self.learnt += 1
        self._secrets = tuple(sorted(looks, key=lambda look: (-len(look), look)))

    def known(self, data: bytes) -> bytes:
        """The data with every known secret replaced, otherwise as it came: for what is read before it is shown."""
        for secret in self._secrets:
            form = secret.encode("utf-8", "surrogatepass")
            if form in data:
                data = data.replace(form, REDACTED.encode())
        return data

    def text(self, text: str) -> str:
        """One line, free of secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return escape(scrub(text))

    def bytes(self, data: bytes) -> bytes:
        """The same for UTF-8; what is not UTF-8 becomes U+FFFD."""
        return self.text(data.decode("utf-8", "replace")).encode()


def _quoted(secret: str) -> str:
    return quote(secret.encode("utf-8", "surrogatepass"), safe="")
