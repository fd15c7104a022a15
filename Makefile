# `make help` lists what there is. Everything runs in .venv, made when it is missing and brought up
# to date when pyproject.toml or constraints.txt is newer than the last installation.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
say = @printf '\n== %s\n'

.DEFAULT_GOAL := help
.PHONY: help demo check format lint types imports test test-slow test-oldest test-picard check-gpu docs bench dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(INSTALLED) ## real tracks, then audio files, to bags, attention and genres
	$(say) "demo"
	@$(BIN)/matt demo

check: format lint types imports test docs ## all that has to hold before a change is merged

format: $(INSTALLED) ## is the code formatted? (mend with: .venv/bin/ruff format)
	$(say) "format"
	@$(BIN)/ruff format --check

lint: $(INSTALLED) ## ruff's rules
	$(say) "lint"
	@$(BIN)/ruff check

types: $(INSTALLED) ## mypy, strict
	$(say) "types"
	@$(BIN)/mypy

imports: $(INSTALLED) ## the layers of docs/architecture.md
	$(say) "imports"
	@$(BIN)/lint-imports

# Files of tests are dealt to processes whole, so that what a file prepares is made once.
SHARED_OUT = -n auto --maxprocesses 4 --dist loadfile

test: $(INSTALLED) ## tests and doctests, without the slow ones
	$(say) "tests"
	@$(BIN)/pytest -q $(SHARED_OUT)

# pytest exits with 5 where no test is marked slow.
test-slow: $(INSTALLED) ## the tests that take minutes
	$(say) "slow tests"
	@$(BIN)/pytest -q $(SHARED_OUT) -m "slow and not gpu" || [ $$? -eq 5 ]

# In an environment of its own, with each dependency at the lower end of its range. The oldest Typer
# and matplotlib use what Click 8.5 and pyparsing 3.3 warn of, and here a warning is an error.
test-oldest: $(INSTALLED) ## the tests with the oldest dependencies that are allowed
	$(say) "tests, oldest dependencies"
	@[ -x .venv-oldest/bin/python ] || $(BIN)/python -m venv .venv-oldest
	@$(BIN)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		more = project["optional-dependencies"]; \
		print(*project["dependencies"], *more["train"], *more["notebook"], sep="\n")' | sed 's/>=/==/' > .venv-oldest/oldest.txt
	@.venv-oldest/bin/python -m pip install -q --disable-pip-version-check \
		-c .venv-oldest/oldest.txt -e '.[train,notebook]' pytest hypothesis librosa 'click<8.5' 'pyparsing<3.3'
	@.venv-oldest/bin/pytest -q --ignore tests/test_project.py

# Picard brings Qt and pins of its own, so it lives in an environment of its own, and matt is the
# program that it asks.
test-picard: $(INSTALLED) ## the plugin inside Picard, without a screen
	$(say) "tests inside Picard"
	@[ -x .venv-picard/bin/python ] || $(BIN)/python -m venv .venv-picard
	@.venv-picard/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt picard==3.0.2 pytest
	@MATT_COMMAND=$(CURDIR)/$(BIN)/matt .venv-picard/bin/python -m pytest -q -rs --noconftest \
		-o addopts= -o pythonpath= tests/test_picard.py

dist: $(INSTALLED) ## wheel and sdist, with the weights inside, in dist/
	$(say) "dist"
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist
	@$(BIN)/python -c 'import glob, zipfile; names = zipfile.ZipFile(*glob.glob("dist/*.whl")).namelist(); \
		lost = {"musicnn.onnx", "musicnn.LICENSE.md", "tagger.toml", "tagger.md"} - {n.split("/")[-1] for n in names}; \
		assert not lost, lost'

# Not part of `check`: nothing else needs a GPU. The figures go to benchmarks/gpu.json.
check-gpu: $(INSTALLED) ## what needs a CUDA device: its tests, and how fast it trains
	@$(BIN)/python -m benchmarks.gpu

# The pages of the API are generated; a page of a module that is gone would be a warning.
docs: $(INSTALLED) ## the documentation, warnings as errors
	$(say) "docs"
	@rm -rf docs/api
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# Sets of other processors stay in benchmarks/results.json; README and docs tell what it then says.
bench: $(INSTALLED) ## the benchmarks, and their figures into the pages
	$(say) "benchmarks"
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.pages

clean: ## remove what was built (environments stay)
	rm -rf build dist docs/_build docs/api
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip's own configuration decides where packages come from, so a CPU build of torch that is offered
# there is taken: the local version 2.13.0+cpu satisfies torch==2.13.0 and sorts above it.
$(INSTALLED): pyproject.toml constraints.txt
	$(say) "environment (.venv)"
	@[ -x $(BIN)/python ] || for python in $(PYTHON) python3.13 python3.12 python3.11; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -m venv --clear .venv && exit 0; \
		echo "$$python cannot make a virtual environment; on Debian or Ubuntu install python3-venv" >&2; \
		exit 1; \
	done
	@[ -x $(BIN)/python ] || { \
		echo "no Python >= 3.11 found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
