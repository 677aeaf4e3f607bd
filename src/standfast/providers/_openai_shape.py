"""A provider that speaks OpenAI's dialect: paths, bearer key, errors."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.prefill import Prefill
from standfast.canon.rates import Rate
from standfast.providers._openai_errors import CODES, IN_BAND, OVERFLOW
from standfast.providers._rates import OPENAI_SHAPED, read_rates
from standfast.providers._report import read_report
from standfast.providers._rules import Phrase, Rules, classify
from standfast.providers.base import Answer

_PATHS = {Operation.CHAT: "/chat/completions", Operation.EMBEDDINGS: "/embeddings"}
_FORMATS = {Operation.CHAT: "openai_chat", Operation.EMBEDDINGS: "openai_embeddings"}

NO_KEY = "none"
"""How a configuration says that a server wants no key."""


class OpenAIShaped:
    """See `providers.base.Provider`.

    Args:
        name: the file's name.
        base_url: the public address; empty if the configuration must give one.
        key_variable: the environment variable of its key.
        operations: what it offers.
        codes: code words beside OpenAI's own.
        phrases: wordings beside OpenAI's own.
        prefill: how it is told to go on with an answer that was begun; OpenAI itself cannot be told.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        key_variable: str,
        *,
        operations: Sequence[Operation] = (Operation.CHAT, Operation.EMBEDDINGS),
        codes: Mapping[str, FailureKind] | None = None,
        phrases: Sequence[Phrase] = (),
        prefill: Prefill | None = None,
    ) -> None:
        self.name = name
        self.base_url = base_url
        self.key_variable = key_variable
        self.prefill = prefill
        self.limit_headers = frozenset(OPENAI_SHAPED)
        self.formats: Mapping[Operation, str] = MappingProxyType({each: _FORMATS[each] for each in operations})
        self._rules = Rules({**CODES, **(codes or {})}, IN_BAND, (OVERFLOW, *phrases))

    def path(self, operation: Operation, model: str, *, stream: bool) -> str:  # noqa: ARG002 - the body names the model
        """Path below the base URL, which ends in the version."""
        return _PATHS[operation]

    def headers(self, key: str) -> tuple[tuple[str, str], ...]:
        """The bearer key; nothing at all for a server without keys."""
        key = key.strip()
        return () if key in ("", NO_KEY) else (("authorization", f"Bearer {key}"),)

    def ping(self) -> str:
        """The list of models: free, and shows that the key is good."""
        return "/models"

    def classify(self, answer: Answer) -> Failure:
        """Which failure an answer is. Never raises."""
        return classify(answer, read_report(answer), self._rules)

    def rates(self, headers: Collection[tuple[bytes, bytes]], received: Wall) -> tuple[Rate, ...]:
        """The rate limits that an answer tells."""
        return read_rates(headers, OPENAI_SHAPED, received)
