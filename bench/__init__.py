"""The benchmark: Standfast beside a plain nginx reverse proxy, measured in one run.

* `run` starts it, `cli` reads the options and keeps order; `plan` holds ports, sizes and configuration texts.
* `procfs` reads Linux' accounts, `processes` starts and stops, `stack` knows what must run.
* `mock` is the upstream; `streams`, `client` and wrk (`chat.lua`) are the load; `load` runs them and keeps the books.
* `scenarios` measures, `figures` calculates, `report` and `picture` show.
"""
