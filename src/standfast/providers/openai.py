"""OpenAI: https://api.openai.com/v1, bearer key, chat completions and embeddings."""

from standfast.providers._openai_shape import OpenAIShaped

PROVIDER = OpenAIShaped("openai", "https://api.openai.com/v1", "OPENAI_API_KEY")
