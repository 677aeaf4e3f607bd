"""HolySheep: https://api.holysheep.ai/v1, a relay in OpenAI's dialect; a preset of `openai_like`."""

from standfast.providers.openai_like import preset

PROVIDER = preset("holysheep", "https://api.holysheep.ai/v1", "HOLYSHEEP_API_KEY")
