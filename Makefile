# Two commands, `make demo` and `make test`, and more; each does all its own set-up.

# Another Python beside the first: make test PYTHON=python3.13 VENV=.venv313
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# More arguments for `dvtfast demo` in all its forms, for pytest, for pytest of the benchmarks, and for `make ct`.
DEMO ?=
TESTS ?=
# `make test THOROUGH=yes`, as CI has it: also the tests that are marked so.
THOROUGH ?=
BENCH ?=
CT ?=
# Cases of each test of `make fuzz`, operands of each function of the lanes, schedules of a cluster that agrees, slots of
# whole nodes on virtual time, the seed; without one, another each time.
FUZZ_CASES ?= 20000
FUZZ_OPERANDS ?= 1000000
FUZZ_SCHEDULES ?= 100000
FUZZ_SLOTS ?= 50000
FUZZ_SEED ?= $(shell date +%s)

# What is installed is the same on every machine and day: requirements/*.txt. LOCKED= is for the newest of everything.
LOCKED ?= yes
UV := uv==0.13.9
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-header --output-file
# With Go, which checks it; the package of PyPI fetches the program from elsewhere as it is installed.
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
PINS := $(if $(LOCKED),--build-constraint requirements/build.txt)
INSTALL := $(BIN)/python -m pip install --quiet
install_locked = $(if $(LOCKED),$(INSTALL) --require-hashes --requirement requirements/$(1).txt $(PINS))

# What a machine lacks that nothing here can bring is said before anything is begun.
CHECK := scripts/check-machine "$(PYTHON)" "$(CC)"

# What the kernels are built from; Python sources are used in place, but an installation knows which there are.
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(filter-out %.md,$(wildcard native/*.* native/c/*.* native/c/testing/*.*))
MODULES = find src services dvtfast_command -name __pycache__ -prune -o \( -type d -o -name '*.py' \) -print | LC_ALL=C sort

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-dkg demo-duties demo-chain test fuzz fuzz-relayer screenshot asan ct build lint alerts format types bench bench-quick bench-lanes bench-dkg bench-round bench-deposits bench-sidecar bench-junk bench-p2p bench-crowd bench-duties bench-duty-sets annotate wheel check-wheel docs workflows lock newest clean always

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/services ## a whole cluster on this machine: 1,000 validators through the registration round
	$(BIN)/dvtfast demo $(DEMO)

demo-dkg: $(VENV)/services ## the same of a cluster that makes its keys itself, in a ceremony through a relay
	$(BIN)/dvtfast demo --dkg $(DEMO)

demo-duties: $(VENV)/spec ## such a cluster's nodes perform their duties; one is killed, one lies, the chain judges
	$(BIN)/dvtfast demo --duties $(DEMO)

demo-chain: $(VENV)/demo-chain build/anvil/made ## further, onto a chain on this machine: 11 oracles approve, each validator is deposited for
	$(BIN)/dvtfast demo --chain $(DEMO)

test: $(VENV)/test build/anvil/made build/browser/made build/libp2p/made ## all tests; THOROUGH=yes: those that take long, too
	$(if $(THOROUGH),DVTFAST_FUZZ_CASES=2000) $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder \
	    $(if $(THOROUGH),,-m 'not thorough') $(TESTS)

fuzz: $(VENV)/test ## 20,000 cases of every kind next to milagro, arkworks and py_ecc; 1,000,000 operands on lanes; 100,000 schedules of consensus; 50,000 slots of four nodes
	DVTFAST_FUZZ_CASES=$(FUZZ_CASES) DVTFAST_FUZZ_OPERANDS=$(FUZZ_OPERANDS) \
	    DVTFAST_FUZZ_SCHEDULES=$(FUZZ_SCHEDULES) DVTFAST_FUZZ_SLOTS=$(FUZZ_SLOTS) DVTFAST_FUZZ_SEED=$(FUZZ_SEED) \
	    $(BIN)/python -m pytest -n auto --dist worksteal --timeout=0 -rP tests/fuzz $(TESTS)

fuzz-relayer: $(VENV)/test ## 100,000 raw requests at a relayer: no crash, and its memory stays flat
	$(BIN)/python -m benchmarks.raw_requests

screenshot: $(VENV)/test build/browser/made ## docs/images/status.png: the status page of a round in trouble
	DVTFAST_SCREENSHOT=docs/images/status.png $(BIN)/python -m pytest tests/services/relayer/status/test_status_page.py -k screenshot

asan: ## tests of the library on kernels with AddressSanitizer and UndefinedBehaviorSanitizer (gcc, Linux)
	@$(CHECK)
	scripts/check-asan "$(PYTHON)" build/asan $(TESTS)

ct: $(VENV)/test ## whether signing branches or reads by secret keys, with valgrind; CT=--trace: the AVX-512 code, too
	scripts/check-constant-time build/ct "$${BLST_ROOT:-$$(ls -d build/cp*/blst/ckzg-*/blst | head -n 1)}" $(CT)

build: $(VENV)/test ## kernels built, package and what its tests need installed in place, in .venv

lint: $(VENV)/test ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/test ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# mypy sees the package as it is installed: services/ is dvtfast.services.
alerts: ## the alert rules, with promtool (Debian: apt-get install prometheus)
	promtool check rules deploy/prometheus/alerts.yml
	promtool test rules deploy/prometheus/alerts_test.yml

types: $(VENV)/test ## mypy --strict of library and services
	rm -rf build/types && mkdir -p build/types/dvtfast
	ln -s "$(CURDIR)"/src/dvtfast/* "$(CURDIR)"/services build/types/dvtfast/
	MYPYPATH=build/types $(BIN)/mypy -p dvtfast

bench: $(VENV)/baselines build/npm/made ## every step of the round, beside others; writes benchmarks/results
	$(BIN)/python -m pytest benchmarks --benchmark-json=benchmarks/results/results.json $(BENCH)

bench-quick: $(VENV)/baselines build/npm/made ## the ratios that the kernels are held to, in a minute
	$(BIN)/python -m benchmarks.quick

bench-lanes: $(VENV)/baselines ## lanes of AVX-512 IFMA beside blst
	$(BIN)/python -m benchmarks.lanes

bench-dkg: $(VENV)/baselines ## key generation beside its floor and a naive loop over blst: its kernels, and whole ceremonies of processes
	$(BIN)/python -m benchmarks.key_generation
	$(BIN)/python -m benchmarks.ceremony

bench-round: $(VENV)/baselines ## a round of 10,000 validators: time, CPU and memory of the relayer, lag of its event loop
	$(BIN)/python -m benchmarks.round

bench-deposits: $(VENV)/baselines ## a scan of 100,000 deposits, its kernels beside a naive loop over blst
	$(BIN)/python -m benchmarks.deposit_scan make build/deposits
	$(BIN)/python -m benchmarks.deposit_scan kernels build/deposits
	$(BIN)/python -m benchmarks.deposit_scan scan build/deposits

bench-sidecar: $(VENV)/baselines ## what a sidecar costs for 10,000 exits, beside the signatures alone
	$(BIN)/python -m benchmarks.sidecar

bench-junk: $(VENV)/bench ## a round of 500 alone, and under 500 junk requests a second
	$(BIN)/python -m benchmarks.junk

bench-p2p: $(VENV)/bench ## a request between two hosts of libp2p, beside go's where its peer is built; memory of 160,000
	$(BIN)/python -m benchmarks.p2p

bench-crowd: $(VENV)/bench ## four sidecars that post 5,000 shares in one request, while 200 clients poll
	$(BIN)/python -m benchmarks.crowd

bench-duties: $(VENV)/bench ## roots of blocks and votes beside the bare hashes, votes on record beside bare rows
	$(BIN)/python -m benchmarks.duties

bench-duty-sets: $(VENV)/bench ## what 5,000 partial signatures cost a node when some are bad, beside clean ones
	$(BIN)/python -m benchmarks.duty_sets

annotate: $(VENV)/test ## HTML of the kernels in build/annotate; fails where a loop without the GIL calls Python
	rm -rf build/annotate && mkdir -p build/annotate/dvtfast
	cp -r native build/annotate/dvtfast/_native
	cd build/annotate && "$(abspath $(BIN))/cython" -3 -X boundscheck=False,initializedcheck=False,cdivision=True \
	    -X wraparound=False -I . --annotate dvtfast/_native/*.pyx
	$(BIN)/python scripts/check-annotated build/annotate/dvtfast/_native/*.html

wheel: $(VENV)/wheel ## sdist, and a wheel for any Linux of this processor, in dist/
	rm -rf dist
	$(BIN)/python -m build
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist dist/*-linux_*.whl
	rm dist/*-linux_*.whl

check-wheel: ## such a wheel for PYTHON, in an empty environment without a compiler: examples and demo
	$(MAKE) wheel VENV=.venv-wheel-$(notdir $(PYTHON))
	scripts/check-wheel "$(PYTHON)" dist/*.whl

# The tree stands in for the site's own, so that each link holds in both; mkdocs knows every page and anchor.
docs: $(VENV)/docs ## the documentation as a site, in build/site; fails for a link that leads nowhere
	rm -rf build/pages && mkdir -p build/pages
	ln -s "$(CURDIR)"/*.md "$(CURDIR)/docs" "$(CURDIR)/deploy" build/pages/
	mkdir build/pages/benchmarks && ln -s "$(CURDIR)/benchmarks/README.md" "$(CURDIR)/benchmarks/results" build/pages/benchmarks/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

workflows: ## .github/workflows with actionlint, or, where that is not, with what Go brings
	if command -v actionlint; then actionlint; else \
	    GOBIN="$(CURDIR)/build/actionlint" go install $(ACTIONLINT) && build/actionlint/actionlint; fi

# What benchmarks and tests need is looked for first; the other sets agree with it.
lock: $(VENV)/lock ## requirements/ anew: the newest versions that Python 3.11 and newer take, with hashes, and npm's
	$(COMPILE) requirements/build.txt requirements/build.in
	$(COMPILE) requirements/pip.txt requirements/pip.in --constraint requirements/build.txt
	$(COMPILE) requirements/bench.txt pyproject.toml --extra bench
	for set in test demo-chain spec services; do \
	    $(COMPILE) requirements/$$set.txt pyproject.toml --extra $$set --constraint requirements/bench.txt || exit; done
	for set in wheel cibuildwheel docs node; do \
	    $(COMPILE) requirements/$$set.txt requirements/$$set.in --constraint requirements/bench.txt || exit; done
	for set in requirements/npm/*; do \
	    npm update --package-lock-only --omit-lockfile-registry-resolved --no-audit --prefix $$set || exit; done

newest: ## all tests with the newest of everything instead, in an environment of their own
	$(MAKE) test LOCKED= VENV=.venv-newest

clean: ## remove everything that was made here
	rm -rf $(VENV) build dist

# One stamp for each set of extras, in the environment that the first of them makes.
$(VENV)/services $(VENV)/demo-chain $(VENV)/spec $(VENV)/test $(VENV)/bench: $(VENV)/%: $(BUILD_INPUTS) $(wildcard requirements/*.txt) $(VENV)/modules | $(VENV)/made
	@$(CHECK)
	$(call install_locked,$*)
	$(INSTALL) $(PINS) $(if $(LOCKED),--no-deps) --editable '.[$*]'
	@touch $@

# The modules there are, written anew only when one came, went or moved: then all is installed again.
$(VENV)/modules: always | $(VENV)/made
	@$(MODULES) | cmp -s - $@ || $(MODULES) > $@

$(VENV)/baselines: $(VENV)/bench $(wildcard benchmarks/baselines/*.*) native/blst.cmake native/blst.pxd
	$(INSTALL) $(PINS) ./benchmarks/baselines
	@touch $@

# npm's packages are in lockfiles, too: requirements/npm. A machine without npm gets that from PyPI.
npm = command -v npm >/dev/null || $(if $(LOCKED),$(call install_locked,node),$(INSTALL) --requirement requirements/node.in)
npm_set = mkdir -p build/$(1) && cp requirements/npm/$(1)/*.json build/$(1) && PATH="$$PATH:$(abspath $(BIN))" \
    npm $(if $(LOCKED),ci,update) --loglevel=error --no-fund --no-audit --ignore-scripts --prefix build/$(1)

# One of the others that dvtfast is measured against; a machine without npm leaves it out.
build/npm/made: $(wildcard requirements/npm/npm/*)
	if command -v npm; then $(call npm_set,npm); fi
	@mkdir -p $(@D) && touch $@

# An EVM node for `dvtfast demo --chain` and tests.
build/anvil/made: $(wildcard requirements/npm/anvil/*) | $(VENV)/made
	@$(CHECK)
	$(npm)
	$(call npm_set,anvil)
	@touch $@

# For the tests of the status page: axe-core, and a Chromium where the machine has none.
build/browser/made: scripts/unpack-browser.cjs $(wildcard requirements/npm/browser/* requirements/npm/chromium/*) | $(VENV)/made
	@$(CHECK)
	$(npm)
	$(call npm_set,browser)
	command -v chromium chromium-browser google-chrome || { $(call npm_set,chromium) && \
	    PATH="$$PATH:$(abspath $(BIN))" node scripts/unpack-browser.cjs build/chromium/node_modules/@sparticuz/chromium build/browser/chromium; }
	@touch $@

# Peers of other implementations, for the tests of ours: js-libp2p, and where Go is, go-libp2p.
build/libp2p/made: $(wildcard requirements/npm/libp2p/*) | $(VENV)/made
	$(npm)
	$(call npm_set,libp2p)
	@touch $@

build/go-libp2p/peer: $(wildcard tests/services/p2p/go/*)
	cd tests/services/p2p/go && go build -o "$(CURDIR)/$@" .

$(VENV)/lock: | $(VENV)/made
	$(INSTALL) '$(UV)'
	@touch $@

$(VENV)/wheel $(VENV)/docs: $(VENV)/%: requirements/%.txt | $(VENV)/made
	$(if $(LOCKED),$(call install_locked,$*),$(INSTALL) --requirement requirements/$*.in)
	@touch $@

$(VENV)/made:
	@$(CHECK)
	"$(PYTHON)" -m venv $(VENV)
	$(INSTALL) --upgrade $(if $(LOCKED),--require-hashes --requirement requirements/pip.txt,pip)
	@touch $@
