"""Configuration: one typed schema, loaded whole or not at all, every problem reported at once.

* `schema` composes the rooms' own settings into `Config`.
* `load` reads a YAML or TOML file; `yaml_text` and `interpolation` are its parts.
* `check` finds every problem; `words` puts the schema's into sentences, `later` refuses what does not exist yet.
* `environment` builds a configuration from provider keys, and shows one without its secrets.
"""
