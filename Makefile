# `make demo` and `make test` work on a fresh machine with Python 3.11 and a C compiler; all else hangs on them.
# Set-up speaks on stderr, so that a target whose answer is a document (`make bench`) prints that alone.
PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.9

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	--extra tools --group build

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types imports peers bench accuracy nightly coverage lock wheel wheel-demo clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

# ------------------------------------------------------------------------------------------------------------ set-up
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.11" >&2; exit 2; }
	@echo "making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) >&2

# The stamps lie in the environment: removing it removes them. The locks are closed, hence `--no-deps`: pip before 23.3
# would look for newer versions of what a package asks for with an extra, and then refuse them.
$(VENV)/.runtime: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing requirements.txt (a minute on a fresh machine)" >&2
	@$(PIP) install --require-hashes --no-deps -r requirements.txt >&2
	@$(PIP) install --no-deps --no-build-isolation --editable . >&2
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "installing requirements-dev.txt" >&2
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.txt >&2
	@touch $@

# ----------------------------------------------------------------------------------------------------------- targets
demo: $(VENV)/.runtime ## a simulated plant and the controller on it; ARGS="--racks 240"
	@$(BIN)/bess demo $(ARGS)

test: check peers ## the whole check: lint, types, imports, tests
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: lint types imports ## lint, types, imports

lint: $(VENV)/.dev ## ruff, and its formatter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## who may know whom
	$(BIN)/lint-imports --no-logo

peers: $(VENV)/.dev ## foreign clients and brokers for the tests, where they can be had
	bash tests/install_peers.sh

coverage: $(VENV)/.dev ## branch coverage of protection and decoding, which must be whole
	$(BIN)/pytest -p no:randomly --cov=controller.protection --cov=controller.modbus --cov-fail-under=100 \
		tests/protection tests/modbus $(ARGS)

bench: $(VENV)/.runtime ## measure this machine; one JSON document
	@$(BIN)/bess bench $(ARGS)

accuracy: $(VENV)/.dev ## the table and picture of docs/estimation.md; DATA=FOLDER with the records that it names
	$(BIN)/python -m tests.estimation.accuracy "$(DATA)" --out build/accuracy --workers 2 $(ARGS)

nightly: $(VENV)/.dev peers ## what is too long for `make test`
	$(BIN)/pytest -m nightly --timeout 3600 $(ARGS)

lock: $(BIN)/python ## renew the pins in requirements*.txt from pyproject.toml
	$(PIP) install uv==$(UV_VERSION) >&2
	$(LOCK) pyproject.toml --output-file requirements.txt
	$(LOCK) --group dev --constraint requirements.txt pyproject.toml --output-file requirements-dev.txt

wheel: $(VENV)/.runtime ## build the wheel into build/wheel
	@rm -rf build/wheel
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir build/wheel . >&2

wheel-demo: wheel ## the wheel in an environment of its own: does what we ship start?
	@rm -rf build/fresh
	$(PYTHON) -m venv build/fresh
	build/fresh/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes --no-deps -r requirements.txt
	build/fresh/bin/python -m pip --disable-pip-version-check --no-input -q install --no-deps build/wheel/*.whl
	cd build && fresh/bin/bess demo --headless --json --ports auto --for 20 > demo.json
	@grep -q '"opcua".*"modbus"' build/demo.json || { echo "the wheel's demo did not get ready" >&2; exit 1; }
	@rm -rf build/fresh

clean: ## remove what builds and checks left; the environment stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* htmlcov
	find controller tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## also the environment and the installed peers
	rm -rf $(VENV) tests/peers/node_modules
