# make demo   run the whole product on this machine, with no account and no tenant
# make test   run all tests
# make check  format, lint, types, import rules
# make bench  measure the relay
# make soak   let customers and agents talk while everything fails and the server is killed
# make cluster  run two nodes on one PostgreSQL, with pages to try them; ARGS=--nats for NATS between them
# make docs   generate the documents that come from code
# Options: PYTHON=/path/to/python3.11 · ARGS="…" goes to the program or to pytest

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

# Tests start whole servers by the hundred: each would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check format bench soak cluster docs lock clean

demo: .venv/.runtime
	@$(BIN)/warmline demo $(ARGS)

test: .venv/.dev
	@tools/browser.sh
	$(BIN)/pytest -n 3 --dist worksteal -q $(ARGS)

check: .venv/.dev
	$(BIN)/ruff format --check src tests bench tools
	$(BIN)/ruff check src tests bench tools
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	for project in examples/*/; do $(BIN)/warmline check "$$project" || exit 1; done

format: .venv/.dev
	$(BIN)/ruff format src tests bench tools
	$(BIN)/ruff check --fix src tests bench tools

bench: .venv/.dev
	$(BIN)/python bench/relay.py $(ARGS)

soak: .venv/.dev
	$(BIN)/python bench/soak.py $(ARGS)

cluster: .venv/.dev
	@$(BIN)/python tools/cluster.py $(ARGS)

docs: .venv/.dev
	$(BIN)/python -m warmline.cli.docs
	$(BIN)/python tools/checks.py

lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --extra postgres --extra nats --extra otel pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --extra postgres --extra nats --extra otel --extra semantic --group dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .warmline .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/.runtime: requirements.lock pyproject.toml
	@tools/install.sh runtime "$(PYTHON)"

.venv/.dev: requirements-dev.lock pyproject.toml
	@tools/install.sh dev "$(PYTHON)"
