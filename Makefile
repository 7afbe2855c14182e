# Every habit of this project, by name. Each target does its own set-up in .venv and build/;
# nothing is needed beforehand but make, a C compiler, cargo, and a CPython with pip and venv.

PYTHON ?= python3
CPYTHONS ?=

VENV := .venv
BIN := $(VENV)/bin
WHEELS := target/wheels
# Named after $(PYTHON): another interpreter means another environment.
DEV := $(VENV)/made-for-$(subst /,_,$(PYTHON))
WHEEL := $(WHEELS)/built
INSTALLED := $(VENV)/installed
PLOT := $(VENV)/plot
TESTBED := target/release/slowfs
SID := build/sid
REPLAY := build/replay

# pyo3 asks this interpreter what to build for, not whichever python is first on PATH.
export PYO3_PYTHON := $(abspath $(BIN)/python)
# The commands of tests/testbed, for whoever needs a slow filesystem or a refusing kernel.
export FASTPATH_TESTBED := $(abspath $(dir $(TESTBED)))

# A stalled connection is given up soon and tried again.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --timeout 20 --retries 8
CORE := cargo test --locked --no-default-features
CLIPPY := cargo clippy --locked --all-targets
DENY := -D warnings
# The test bed has to run fast enough, and to build fast.
QUICK_RELEASE := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
PORTABLE := RUSTFLAGS='--cfg fastpath_portable' CARGO_TARGET_DIR=target/portable
# Every access checked (memcheck). Not optimized at all, the same takes eight times as long.
VALGRIND := "valgrind", "--quiet", "--error-exitcode=1"
MEMORY := CARGO_PROFILE_TEST_OPT_LEVEL=1 CARGO_TARGET_DIR=target/memory $(CORE) --config
WHOLLY := 'target."cfg(all())".runner = [$(VALGRIND)]'
# What a ring answers the kernel writes when valgrind does not look: to it that is never initialized.
BUT_FOR_VALUES := 'target."cfg(all())".runner = [$(VALGRIND), "--undef-value-errors=no"]'
# There a child takes long to let go of a lock that another test's thread held when it was forked.
ALONE := -- --test-threads=1

.PHONY: help demo build venv test test-rust test-memory test-python test-cpython-quick test-cpython \
	sid lint lint-rust lint-python format bench bench-rust bench-python bench-farm bench-cshim replay \
	experiments figures record-figures clean

help: ## Say what can be made (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'PYTHON=... chooses the CPython (3.10 or newer) that $(VENV) is made from; now $(PYTHON).'

# --- set-up ------------------------------------------------------------------------------

venv: $(DEV) ## Make .venv with the pinned tools

$(DEV): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.implementation.name != "cpython" or \
	  sys.version_info < (3, 10))' || { \
	  echo "make: $(PYTHON) is not CPython 3.10 or newer; name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "make: $(PYTHON) has no venv or pip (Debian: apt install python3-venv)" >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/dev.txt
	@touch $@

build: $(INSTALLED) ## Build the wheel (target/wheels) and install it into .venv

$(WHEEL): $(DEV) Cargo.toml Cargo.lock build.rs pyproject.toml $(shell find src python -type f \
	  -not -name '*.pyc' -not -name '*.so')
	rm -f $(WHEELS)/*.whl
	$(BIN)/maturin build --release --locked --out $(WHEELS) --interpreter $(BIN)/python
	@touch $@

$(INSTALLED): $(WHEEL)
	$(PIP) --no-deps --force-reinstall $(WHEELS)/*.whl
	@touch $@

$(TESTBED): Cargo.toml Cargo.lock $(shell find tests/testbed src/bytecode* -type f)
	$(QUICK_RELEASE) cargo build --locked --release --package testbed
	@touch $@

replay: $(REPLAY) ## Compile build/replay, which replays recorded filesystem calls (C alone)

# As tests/python/test_replay.py compiles it.
$(REPLAY): $(wildcard cshim/*.[ch])
	@mkdir -p build
	$(CC) -std=c11 -O2 -Wall -Wextra -Werror -pthread cshim/*.c -o $@

# The script says why it cannot; where FASTPATH_REQUIRE lists sid, that is a failure.
sid: ## Make build/sid, a Debian root with CPython 3.14 and 3.15 (root, debootstrap, network)
	@mkdir -p build; \
	if ! command -v debootstrap >/dev/null; then \
	  echo 'sid: skipped: needs debootstrap'; false; \
	else tests/sid/make-root.sh $(SID); fi || { \
	  echo "skip: CPython's own tests on 3.14 and 3.15"; \
	  case ",$$FASTPATH_REQUIRE," in *,sid,*) exit 1;; esac; }

# --- use ---------------------------------------------------------------------------------

demo: $(INSTALLED) $(TESTBED) ## Import real packages, stock and with fastpath, side by side
	$(BIN)/python benches/demo.py --wheel $(WHEELS)/*.whl

bench: bench-rust bench-python ## Measure every figure of the README (about 20 minutes)

bench-rust: ## Measure the core: engines, regret of the choice, table lookups
	cargo bench --locked --no-default-features

# CSHIM=--ratios takes turns instead of criterion's samples.
bench-cshim: ## Measure our engines beside the same work in C
	cargo bench --locked --no-default-features --features cshim --bench cshim -- $(CSHIM)

bench-python: $(INSTALLED) $(TESTBED) ## Measure whole interpreters against stock
	$(BIN)/python benches/figures.py --wheel $(WHEELS)/*.whl

$(PLOT): $(DEV) requirements/plot.txt
	$(PIP) -r requirements/plot.txt
	@touch $@

# FARM="--launches 120 ..." gives it other arguments.
bench-farm: $(INSTALLED) $(TESTBED) $(PLOT) ## Launch command lines by the hundred: hot, cold, slow (20 minutes)
	$(BIN)/python benches/farm.py --wheel $(WHEELS)/*.whl --json build/farm.json \
	  --plot build/farm.svg $(FARM)

# $(call run-cpython,quick|full,versions): exit status 77 says that there was nothing to run.
run-cpython = $(BIN)/python tests/cpython/run.py --wheel $(WHEELS)/*.whl --tests $(1) \
	  $(addprefix --python ,$(2)) $$(test ! -d $(SID)/usr || echo --sid-root $(SID)) \
	  --json build/cpython-$(1).json || \
	  { test $$? = 77 && echo 'skip: CPython'"'"'s own tests: no CPython that ships them'; }

# EXPERIMENTS="0004 0006 --quick" chooses; --record replaces what their folders say.
experiments: $(INSTALLED) $(TESTBED) $(PLOT) $(REPLAY) ## Run the experiments again (EXPERIMENTS="0004 --quick")
	$(BIN)/python experiments/run.py $(EXPERIMENTS)

figures: $(PLOT) ## Draw README's picture from docs/figures.json
	$(BIN)/python benches/draw.py docs/figures.json docs/figures.svg

record-figures: $(INSTALLED) $(TESTBED) $(PLOT) ## Measure docs/figures.json again and draw it (5 minutes; root)
	$(BIN)/python benches/figures.py --wheel $(WHEELS)/*.whl --json docs/figures.json picture
	$(MAKE) figures

# --- proof -------------------------------------------------------------------------------

test: test-rust test-python test-cpython-quick ## Run all tests but the long part of CPython's

test-rust: ## Test the core without Python, the portable engine alone, and the test bed
	$(CORE)
	$(CORE) --features cshim --bench cshim
	$(PORTABLE) $(CORE)
	cargo test --locked --package testbed

# Where FASTPATH_REQUIRE lists valgrind, its absence is a failure.
test-memory: ## Test shared tables and engines under valgrind
	@if command -v valgrind >/dev/null; then \
	  $(MEMORY) $(WHOLLY) --lib table::shared $(ALONE) && \
	  $(MEMORY) $(WHOLLY) --test table --test table_file $(ALONE) && \
	  $(MEMORY) $(BUT_FOR_VALUES) --test engines $(ALONE); \
	else \
	  echo 'skip: tables and engines under valgrind: needs valgrind'; \
	  case ",$$FASTPATH_REQUIRE," in *,valgrind,*) exit 1;; esac; fi

test-python: $(INSTALLED) $(TESTBED) ## Test what Python sees
	$(BIN)/python -m pytest -rs tests/python tests/cpython

test-cpython-quick: $(WHEEL) sid ## Run a part of CPython's own tests on 3.13 and 3.15
	@$(call run-cpython,quick,3.13 3.15)

test-cpython: $(WHEEL) sid ## Run CPython's own import tests on every CPython found, or CPYTHONS="3.12 ..."
	@$(call run-cpython,full,$(CPYTHONS))

lint: lint-rust lint-python ## Check format, lints and types, warnings denied

lint-rust: $(DEV)
	cargo fmt --all --check
	$(CLIPPY) --workspace -- $(DENY)
	$(CLIPPY) --no-default-features -- $(DENY)
	$(CLIPPY) --no-default-features --features cshim -- $(DENY)
	$(PORTABLE) $(CLIPPY) --no-default-features -- $(DENY)

lint-python: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	MYPYPATH=tests/cpython $(BIN)/mypy --strict tests/cpython
	@mkdir -p build
	cd build && $(abspath $(BIN))/python -m mypy.stubtest fastpath

format: $(DEV) ## Put the sources into the house format
	cargo fmt --all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove everything made here
	rm -rf $(VENV) build target .pytest_cache .mypy_cache .ruff_cache .hypothesis
