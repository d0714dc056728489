# make setup   virtual environment, pinned dependencies, Kafka's jars
# make test    every check and every test, on a real Kafka
# make demo    the main job, from POST to mailbox, in a minute
# make up      the same stack until Ctrl-C
# make bench   the figures of docs/benchmarks.md
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCK   := requirements/dev.lock
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.PHONY: setup kafka check unit test demo up bench lock format clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(VENV)/.installed kafka

$(VENV)/.installed: $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mailcascade needs Python >= 3.11; $(PYTHON) is older: call make with PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Fetches Kafka's jars when Java is the rung to stand on; says what to install when there is none.
kafka: $(VENV)/.installed
	@$(BIN)/python -m console.stack.kafka prepare

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.installed
	$(BIN)/pytest tests/unit

# Most tests wait for others most of the time, so three run side by side; a file's tests stay together.
test: setup check
	$(BIN)/pytest -n 3 --dist loadfile

demo: setup
	@$(BIN)/mailcascade demo

up: setup
	@$(BIN)/mailcascade up

bench: setup
	@$(BIN)/python -m bench

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.installed
	$(BIN)/pip install --quiet uv
	$(COMPILE) --extra otel pyproject.toml -o requirements/run.lock
	$(COMPILE) --extra otel --extra stack --group dev pyproject.toml -o requirements/dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
