# The commands of a contributor. `make train` and `make test` need Python 3.11 or newer with pip, git and make; no more.
# Settings for a run go into ARGS: make train ARGS="env=Acrobot-v1 seeds=4"; an accelerator into EXTRA: make train EXTRA=cuda

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SCRIPT ?= $(BENCHMARKS)
EXTRA ?=
WORKERS ?= 2
BENCHMARKS := limits ppo value_based actor_critic compiling vectorization replay
SUITES := brax craftax envpool jumanji mjx navix pgx playground xminigrid

# The first interpreter that is new enough; PYTHON=/path/to/python overrides the search.
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$python >/dev/null && $$python -c "$(IS_NEW_ENOUGH)" 2>/dev/null && echo $$python && break; done)

.PHONY: help train test lint learning suites bench clean

help:
	@echo "make train     install into .venv, train PPO on CartPole-v1 over 16 seeds, print the result"
	@echo "make test      install the development tools, then lint, type check and run the tests"
	@echo "make lint      ruff and mypy alone"
	@echo "make learning  the learning table of benchmarks/ (an hour on two cores)"
	@echo "make suites    the environments of other packages, each extra in an environment of its own (ARGS=\"brax pgx\")"
	@echo "make bench     the speed tables of benchmarks/ (hours on two cores), or one: SCRIPT=ppo; see benchmarks/README.md"
	@echo "make clean     remove .venv and every cache"

train: $(VENV)/.installed
	@$(BIN)/jaxrl train $(ARGS)

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

learning: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/learning.py $(ARGS)

suites: | $(BIN)/python
	@for suite in $(or $(ARGS),$(SUITES)); do \
		$(BIN)/python -m venv $(VENV)/suites/$$suite && \
		$(VENV)/suites/$$suite/bin/pip install --quiet --disable-pip-version-check -e ".[$$suite]" pytest pytest-xdist && \
		$(VENV)/suites/$$suite/bin/pytest -W default -m "suites or not suites" -k "$$suite/ or $${suite}_adapter" \
			tests/envs/test_suites.py $$(ls tests/envs/test_$${suite}_adapter.py 2>/dev/null) || exit 1; \
	done

bench: $(VENV)/.installed-dev
	@for script in $(SCRIPT); do $(BIN)/python benchmarks/$$script.py $(ARGS) || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist

# The stamps keep an installation from being repeated; a changed pyproject.toml repeats it.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing jaxrl into $(VENV), which takes about a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".$(if $(EXTRA),[$(EXTRA)])"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing jaxrl and the development tools into $(VENV), which takes a few minutes ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev$(if $(EXTRA),$(comma)$(EXTRA))]"
	@touch $@ $(VENV)/.installed

comma := ,

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "jaxrl needs Python 3.11 or newer, and none was found; install one, or name it: make train PYTHON=/path/to/python3.11"; \
		exit 1; fi
	@$(PYTHON) -c "$(IS_NEW_ENOUGH)" || { \
		echo "jaxrl needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1); install one, or name it: make train PYTHON=/path/to/python3.11"; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV)
