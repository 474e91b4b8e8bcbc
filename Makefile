# make demo    install into .venv and run one scenario end to end; its last line says where the report is
# make test    lint, types and all tests but those of the next two lines
# make test-browser      the pages in a real browser; needs Debian's chromium and chromium-driver, or the like
# make test-containers   docker-compose.yml, brought up; needs a Docker engine and port 4000
# make lint    lint and types only
# make clean   remove what make made
#
# PYTHON=/path/to/python chooses another interpreter (3.11 to 3.13).

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DELETE_ON_ERROR:
.PHONY: demo test test-browser test-containers lint clean

demo: .venv/demo.stamp
	$(BIN)/python -m priomon_sim scenarios/loss20.yaml

test: lint
	$(BIN)/python -m pytest

test-browser test-containers: test-%: .venv/test.stamp
	$(BIN)/python -m pytest -m $*

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A stamp remembers that its extras are installed; a change of what they need makes it stale.
.venv/demo.stamp: .venv/bin/python setup.cfg pyproject.toml constraints.txt
	$(INSTALL) '.[sim,node]'
	@touch $@

.venv/test.stamp: .venv/bin/python setup.cfg pyproject.toml constraints.txt
	$(INSTALL) '.[test]'
	@touch $@ .venv/demo.stamp

.venv/bin/python:
	@test -n "$(PYTHON)" || { \
	echo "PrioMon needs Python 3.11, 3.12 or 3.13 with its venv module (Debian, Ubuntu: apt install python3-venv)."; \
	echo "None was found; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python"; exit 1; } >&2
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
