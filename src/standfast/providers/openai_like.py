"""Any server that speaks OpenAI's dialect: vLLM, Ollama, llama.cpp, Mistral, Azure's v1, relays of other providers.

Has no address of its own: `base_url` must be configured, up to and including the version (`http://127.0.0.1:8000/v1`).
A key `none` (or no key) sends no authorization.
"""

from collections.abc import Mapping
from types import MappingProxyType

from standfast.canon.failure import Failure, FailureKind
from standfast.providers import gemini
from standfast.providers._openai_shape import OpenAIShaped
from standfast.providers._report import read_report
from standfast.providers._rules import Phrase
from standfast.providers.base import Answer

_K = FailureKind

CODES: Mapping[str, FailureKind] = MappingProxyType(
    {
        "invalid_model": _K.MODEL_NOT_FOUND,  # Mistral: an unknown model is HTTP 400 with this type [C]
        "exceed_context_size_error": _K.CONTEXT_TOO_LONG,  # llama.cpp, beside code 400 [U]
        "enforced_spend_limit_reached": _K.QUOTA_EXHAUSTED,  # relays of Anthropic [C]
    }
)

PHRASES = (
    # Azure tells overload only in words [D].
    Phrase(429, ("experiencing high demand",), _K.OVERLOADED),
    # Relays pass on the wordings of the models behind them [C].
    Phrase(400, ("prompt is too long", "tokens", "maximum"), _K.CONTEXT_TOO_LONG),
    Phrase(400, ("input token count", "exceeds the maximum number of tokens"), _K.CONTEXT_TOO_LONG),
    Phrase(400, ("credit balance is too low",), _K.QUOTA_EXHAUSTED),
    Phrase(400, ("you have reached your specified", "usage limits"), _K.QUOTA_EXHAUSTED),
)


class OpenAILike(OpenAIShaped):
    """OpenAI's dialect as others speak it."""

    def classify(self, answer: Answer) -> Failure:
        """Which failure an answer is. Gemini's compatible endpoint sends Gemini's own errors, in an array [C]."""
        if gemini.is_google(read_report(answer)):
            return gemini.PROVIDER.classify(answer)
        return super().classify(answer)


def preset(name: str, base_url: str, key_variable: str) -> OpenAILike:
    """A server of this kind whose address is known."""
    return OpenAILike(name, base_url, key_variable, codes=CODES, phrases=PHRASES)


PROVIDER = preset("openai_like", "", "")
