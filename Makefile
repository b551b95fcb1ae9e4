# make demo   train two small GPTs on the CPU, watched by curvecast, in a few minutes
# make test   every check and every test
# make bench  every benchmark; tables into benchmarks/results
# make clean  remove the environment and caches; logs in runs/ stay
#
# Each sets up .venv first, once. Another Python: make test PYTHON=python3.13

PYTHON ?= python3
VENV := .venv
INSTALL := $(VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt
ARGS ?=

.PHONY: help demo test bench clean

help:
	@sed -n 's/^# //p; /^$$/q' Makefile

demo: $(VENV)/demo.stamp
	$(VENV)/bin/python examples/lightning_gpt.py $(ARGS)

test: $(VENV)/test.stamp
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) scripts/check
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) scripts/test $(ARGS)

bench: $(VENV)/test.stamp
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) scripts/bench $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing curvecast[all] into $(VENV), once: a few minutes, 1.4 GB."
	@$(INSTALL) -e ".[all]"
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing curvecast[all,dev] into $(VENV), once: a few minutes, 1.4 GB."
	@$(INSTALL) -e ".[all,dev]"
	@touch $(VENV)/demo.stamp $@

# A half-made environment must not pass for a whole one at the next call.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "curvecast needs Python 3.11 or newer: got '$(PYTHON)', $$($(PYTHON) --version 2>&1)." \
			"Pass one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
