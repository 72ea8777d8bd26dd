# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: help demo test lint types torture semantic bench package clean

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /	/' | expand -t12

$(VENV)/base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("spiritsafe needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/dev: $(VENV)/base
	$(PIP) -e '.[dev]'
	@touch $@

demo: $(VENV)/base  ## the sample project, built and opened (without a terminal: printed)
	$(BIN)/spiritsafe demo --in .demo

lint: $(VENV)/dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev  ## mypy, strict on our packages
	$(BIN)/mypy --explicit-package-bases console engine store

test: lint types  ## environment, lint, types, the whole suite
	$(BIN)/python -m pytest -n 3 --dist loadfile  # two cores: a story waits for its terminal much of the time

torture: $(VENV)/dev  ## heavier counts of the same faults
	SPIRITSAFE_TORTURE=1 $(BIN)/python -m pytest tests/store

semantic:  ## the tests with a real embedding model, in an environment of their own (about 2 GB: torch for the CPU)
	$(MAKE) VENV=$(VENV)-semantic $(VENV)-semantic/dev
	$(VENV)-semantic/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[semantic]'
	$(VENV)-semantic/bin/python -m pytest tests/engine/test_semantic.py tests/engine/test_semantic_model.py

bench: $(VENV)/dev  ## the table of figures (minutes; a million rows)
	$(BIN)/python -m tests.bench.figures

package:  ## the wheel, installed as users do (pip, uv, pipx) into throw-away folders, and its demo run from there
	$(PYTHON) -m tests.package_walk

clean:  ## remove the environment and the demo
	rm -rf $(VENV) $(VENV)-semantic .demo build dist *.egg-info
