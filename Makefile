# `make` alone lists the targets. Nothing here needs more than Python 3.11+ with its venv module.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# The Python that makes .venv; empty = the first suitable one on PATH.
PYTHON ?=
UV ?= uv
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

# A venv knows its own path, so in a copied or moved checkout it has to be made anew.
ifneq ($(shell cat $(VENV)/checkout 2>/dev/null),$(CURDIR))
$(shell rm -f $(VENV)/installed-run $(VENV)/installed-dev)
endif

.PHONY: help setup setup-dev demo test lint bench drill faults soak mutants lock clean docs screenshots

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/installed-run ## install what the gateway needs into .venv
	@:

setup-dev: $(VENV)/installed-dev ## install that and the developers' tools into .venv
	@:

demo: $(VENV)/installed-run ## run everything on this machine: database, panels, gateway (ARGS=...)
	@exec $(BIN)/smm-gateway demo $(ARGS)

test: lint ## lint, types and all tests (ARGS=... goes to pytest)
	@exec $(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/installed-dev ## ruff and mypy only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/installed-dev ## measure orders per second on this machine (ARGS=...)
	@exec $(BIN)/python -m tests.bench $(ARGS)

drill: $(VENV)/installed-dev ## break what alerts are for, and end it as the runbook says (ARGS=...)
	@exec $(BIN)/python -m tests.drill $(ARGS)

faults: $(VENV)/installed-dev ## 30 minutes of faults under load, and a verdict (ARGS=...)
	@exec $(BIN)/python -m tests.faults --minutes 30 $(ARGS)

soak: $(VENV)/installed-dev ## the same for 8 hours (ARGS="--minutes 240 --only kill,db" ...)
	@exec $(BIN)/python -m tests.faults --minutes 480 --round-minutes 10 $(ARGS)

mutants: $(VENV)/installed-dev ## plant bugs one by one and check that a test catches each (ARGS=...)
	@exec $(BIN)/python -m tests.planted_bugs $(ARGS)

docs: $(VENV)/installed-dev ## write docs/configuration.md anew from the settings
	@$(BIN)/python -m tests.reference

screenshots: $(VENV)/installed-dev ## take the console's pictures into docs/screenshots (needs chromium)
	@exec $(BIN)/python -m pytest -q tests/web/ops/take_screenshots.py

lock: ## write requirements/*.txt anew from pyproject.toml (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: install it, or pass UV=/path/to/uv" >&2; exit 1; }
	@$(COMPILE) --output-file requirements/run.txt
	@$(COMPILE) --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" pyproject.toml requirements/build.in

clean: ## remove .venv and caches; data of the demo stays
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed-run: requirements/run.txt pyproject.toml
	@$(call make-venv)
	@$(call install,requirements/run.txt)
	@touch $@

# dev.txt contains all of run.txt.
$(VENV)/installed-dev: requirements/dev.txt pyproject.toml
	@$(call make-venv)
	@$(call install,requirements/dev.txt)
	@touch $(VENV)/installed-run $@

define make-venv
	if [ "$$(cat $(VENV)/checkout 2>/dev/null)" = "$(CURDIR)" ] && $(BIN)/python -c '' 2>/dev/null; then exit 0; fi; \
	suits='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'; \
	python=; \
	for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$candidate" -c "$$suits" 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 to 3.14 found ($(or $(PYTHON),python3 is $$(python3 --version 2>&1 || true))): install one, or pass PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python cannot make virtual environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV); \
	printf '%s\n' "$(CURDIR)" > $(VENV)/checkout
endef

# pip tells a page per package; a name each is enough to see that it goes on.
define install
	echo "Installing $(1) (hashes are checked); once, about a minute:"; \
	$(BIN)/python -m pip install --disable-pip-version-check --no-input --require-hashes -r $(1) \
		| awk '/^(Collecting|Processing) / {name = $$2; sub(/.*\//, "", name); \
			sub(/(==|-[0-9]).*/, "", name); printf " %s", name; fflush()} END {print ""}'; \
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
endef
