"""Configuration: one typed schema, loaded whole or not at all, every problem reported at once.

* `schema` composes the rooms' own settings into `Config`.
* `load` reads a YAML or TOML file; `yaml_text` and `interpolation` are its parts.
* `check` finds every problem; `words` puts the schema's into sentences, `later` refuses what does not exist yet.
* `facts` is what it says about models, `known` what is known of them otherwise (`model_facts.toml` and a library).
* `routes` builds from a configuration what the judgement works with.
* `environment` builds a configuration from provider keys, and shows one without its secrets.
"""
