# make audit      from nothing to a certificate, with no question asked
# make test       the whole test suite, in the same environment
# make clean      takes back what the other two made
# make verifier   dist/pcm-verify.pyz: one file that checks certificates without AiiDA
# make docs       the pages as a site, in build/docs
# make release    wheel, sdist and verifier, in dist
#
# Choices: PYTHON=python3.11   TORCH='torch==2.13.0'   JOBS=3 (of the tests)   VIRTUAL_ENV and AIIDA_PATH of the shell are respected.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell $(name) --version 2>/dev/null),$(name),)) python3.11)
TORCH ?= torch==2.13.0
# Tests wait for jobs most of their time; a file of tests stays in one process, with what its fixtures computed.
JOBS ?= 3
VENV := $(or $(VIRTUAL_ENV),$(CURDIR)/.venv)
export AIIDA_PATH := $(or $(AIIDA_PATH),$(CURDIR)/.aiida)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet
INPUTS := setup.cfg pyproject.toml constraints.txt requirements/lean.txt
KEY := $(shell (cat $(INPUTS); echo '$(TORCH)') | cksum | cut -d' ' -f1)
INSTALLED := $(VENV)/.pcm-installed-$(KEY)
TESTABLE := $(VENV)/.pcm-testable-$(KEY)

.PHONY: help audit test lint clean environment pw verifier docs release

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -8

audit: environment pw
	@mkdir -p -m 700 '$(AIIDA_PATH)'
	@echo '== What the audit needs'
	@$(BIN)/aiida-pcm -p pcm setup
	@echo '== The audit of CHGNet 0.3.0'
	@$(BIN)/aiida-pcm -p pcm audit chgnet-0.3.0 reference
	@echo
	@echo 'To work in a shell: . $(patsubst $(CURDIR)/%,%,$(BIN))/activate-pcm'

test: environment $(TESTABLE) pw
	@echo '== Style and types'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy aiida_pcm
	@$(BIN)/mypy --strict aiida_pcm/science aiida_pcm/runner aiida_pcm/verify
	@echo '== Tests'
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

environment: $(INSTALLED) $(BIN)/activate-pcm

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { printf '%s\n' '$(PYTHON) is not on this machine.' \
	  'Install Python 3.11 (Debian: apt-get install python3.11-venv) or name another: make PYTHON=python3.12 audit' >&2; exit 1; }
	@$(PYTHON) scripts/check_python.py
	@echo '== An environment in $(VENV)'
	@$(PYTHON) -m venv '$(VENV)' || { rm -rf '$(VENV)'; exit 1; }

$(INSTALLED): $(INPUTS) | $(BIN)/python
	@$(BIN)/python scripts/check_python.py
	@echo '== 1/3 $(TORCH) (minutes on a slow line)'
	@$(PIP) install $(TORCH)
	@$(BIN)/python scripts/check_torch.py
	@echo '== 2/3 Lean, by its hash'
	@$(PIP) install --no-deps --only-binary=:all: --require-hashes -r requirements/lean.txt
	@echo '== 3/3 aiida-pcm with AiiDA, Quantum ESPRESSO plugin and CHGNet'
	@$(PIP) install -c constraints.txt -e '.[potentials,lean]'
	@rm -f '$(VENV)'/.pcm-installed-*
	@touch '$@'

$(TESTABLE): $(INSTALLED)
	@echo '== What the tests need'
	@$(PIP) install -c constraints.txt -e '.[potentials,mace,matgl,lean,tests,docs]'
	@rm -f '$(VENV)'/.pcm-testable-*
	@touch '$@'

# Rewritten each time, because AIIDA_PATH may be another one.
.PHONY: $(BIN)/activate-pcm
$(BIN)/activate-pcm: | $(INSTALLED)
	@printf '. "%s/activate"\nexport AIIDA_PATH="%s"\n' '$(BIN)' '$(AIIDA_PATH)' > '$@'

pw:
	@bash scripts/install_pw.sh

# One file that checks certificates without AiiDA; the same bytes on every machine.
verifier:
	@$(PYTHON) scripts/build_verifier.py

docs: environment $(TESTABLE)
	@$(BIN)/python -m sphinx -W -n -q --keep-going docs build/docs
	@echo 'Open build/docs/index.html'

release: environment verifier
	@$(PIP) install build
	@$(BIN)/python -m build > /dev/null
	@ls -l dist

clean:
	@bash scripts/clean.sh '$(VENV)'
