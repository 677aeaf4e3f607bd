"""DeepSeek: https://api.deepseek.com, OpenAI's dialect, chat only (it documents no embeddings).

Errors have OpenAI's shape and plain statuses: 402 is a spent balance, 503 overload [D]. The limit is concurrency per
account, told as 429 without any hint [D]. Bodies come with `application/octet-stream` [R]. It goes on with an answer
that is marked as a prefix, below `/beta` only [D].
"""

from standfast.canon.deployment import Operation
from standfast.canon.prefill import PREFIX, Prefill
from standfast.providers._openai_shape import OpenAIShaped

PROVIDER = OpenAIShaped(
    "deepseek",
    "https://api.deepseek.com",
    "DEEPSEEK_API_KEY",
    operations=(Operation.CHAT,),
    prefill=Prefill(message=PREFIX.message, path="/beta"),
)
