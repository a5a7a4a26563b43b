# Two commands are enough: `make demo` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced

.PHONY: help setup demo test lint format lock synth local clean
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## virtual environment with the locked dependencies

$(STAMP): requirements/dev.txt requirements/uv.txt shortlist/scan.c shortlist/fm/explain.c
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3,11) <= sys.version_info < (3,15) else "Shortlist needs Python 3.11 to 3.14, this is " + sys.version.split()[0] + ". Cure: make PYTHON=/path/to/python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'Could not make a virtual environment. Cure on Debian or Ubuntu: apt install python3-venv'; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements/dev.txt
	@$(BIN)/python -m shortlist.compiled_scan > /dev/null
	@$(BIN)/python -m shortlist.fm.compiled
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s/$(BIN)/python" -P -m shortlist "$$@"\n' '$(CURDIR)' '$(CURDIR)' > $(BIN)/shortlist
	@chmod +x $(BIN)/shortlist
	@touch $@

demo: $(STAMP)  ## the weekly run on real purchases, on the embedded AWS; results in out/demo/
	@$(BIN)/python -m local.demo

test: $(STAMP)  ## everything that .ci/run checks
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: $(STAMP)  ## formatting, style, types, import directions
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(STAMP)  ## rewrite the code in the house format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: $(STAMP)  ## renew requirements/*.txt from pyproject.toml
	@tools/lock

synth: $(STAMP)  ## synthesise the CDK app into cdk.out/
	@$(BIN)/python app.py

local: $(STAMP)  ## keep the embedded AWS running
	@$(BIN)/python -m local

clean:  ## remove what was built (not the virtual environment)
	rm -rf cdk.out* out .local .pytest_cache .mypy_cache .ruff_cache .hypothesis
