"""Configuration: schema (composes the rooms own settings), load, check, reload."""
