# lfsd: the few commands a newcomer needs. `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help venv demo test lint format bench-lifelong docs/commands.md clean

help:
	@echo "make demo    learn two bundled subjects and draw them (pictures in ./lfsd-demo/)"
	@echo "make test    run the whole test suite"
	@echo "make lint    ruff, mypy and the import rules"
	@echo "make bench-lifelong    a short lifelong benchmark (tables in build/bench-lifelong/report.md)"
	@echo "make venv    only create $(VENV) with lfsd and its tools"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: venv
	$(BIN)/lfsd demo

test: venv
	$(BIN)/python -m pytest

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Goes on where it was stopped; docs/benchmark-methods.md has the full runs.
bench-lifelong: venv
	$(BIN)/python -m benchmarks.lifelong --protocol short --out build/bench-lifelong
	$(BIN)/python -m benchmarks.lifelong.report build/bench-lifelong

docs/commands.md: venv
	$(BIN)/python -m lfsd_cli.manual > $@

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache lfsd-demo
