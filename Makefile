# telekit on a fresh Debian machine: `make demo` shows it all, `make test` proves it. Both need root for the lab.

PYTHON ?= python3
BIN := .venv/bin
LAB_RELEASE ?= trixie
# Debian packages that only tests need: a directory server, of which they start their own, a browser with letters, to look at reports,
# a reader of QR codes, and wg, for laptops that a test makes by hand.
TEST_PACKAGES := slapd chromium fonts-dejavu-core zbar-tools wireguard-tools

# Compiled once, not at each start, whatever the environment says: an operator need not be able to write here.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install check style types engine-tests process-tests unit-tests test test-packages browser-tests lab-tests lab-tests-beside test-sabotage test-vagrant demo lab-packages vagrant-packages lock clean bench

help:
	@echo "make install   a virtual environment in .venv, with telekit in it"
	@echo "make demo      install, build the lab town, provision it, verify it (root)"
	@echo "make check     types, lint, import contract and the tests that need no machine"
	@echo "make test      everything: check, and the lab on Debian 13 and 12 (root)"
	@echo "make test-sabotage  break the lab town on purpose: do the checks notice? (root)"
	@echo "make test-vagrant   the whole on virtual machines with kernels of their own (root)"
	@echo "make bench     measure beside other tools, on a quiet computer (root)"

install: .venv/.installed

# The lock file decides every version and its hash; uv itself is pinned with its hash in requirements-uv.txt.
.venv/.installed: pyproject.toml uv.lock requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "telekit needs Python 3.11 or later: apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "installing python3-venv"; apt-get update -qq && apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	$(BIN)/uv sync --quiet --locked --compile-bytecode
	$(BIN)/python -m compileall -q toolkit deploys
	@touch $@

lock:
	$(BIN)/uv lock
	$(BIN)/uv export --quiet --locked --only-group bootstrap --no-header --output-file requirements-uv.txt

# What the lab needs from Debian, in the lab's own words.
lab-packages: install
	@$(BIN)/python -m toolkit.lab packages --install

# slapd comes without a directory of its own, so that nothing is started and no port opened.
test-packages:
	@dpkg-query -W -f '' $(TEST_PACKAGES) 2>/dev/null || { \
	  echo "slapd slapd/no_configuration boolean true" | debconf-set-selections && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(TEST_PACKAGES); }

# What drives the browser, and axe, which judges the page; a Node.js that is there already is good enough.
tests/browser/node_modules/.installed: tests/browser/package.json tests/browser/package-lock.json
	@command -v npm >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm; }
	cd tests/browser && npm ci --no-progress
	@touch $@

browser-tests: install test-packages tests/browser/node_modules/.installed
	$(BIN)/pytest -q tests/browser

# Side by side, each told when it is done. Importing the engine brings gevent's patches, which parallel workers cannot bear:
# its tests have a process of their own.
check: install
	@$(MAKE) --no-print-directory -j5 --output-sync=target process-tests engine-tests unit-tests types style

style:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types:
	$(BIN)/mypy

PROCESSES := tests/unit/engine/test_plugin.py tests/unit/engine/test_spread.py

engine-tests:
	$(BIN)/pytest -q tests/unit/engine $(PROCESSES:%=--ignore=%)

process-tests:
	$(BIN)/pytest -q $(PROCESSES)

unit-tests:
	$(BIN)/pytest -q -n auto tests/unit tests/golden --ignore tests/unit/engine

# The lab's tests in two lines side by side, since a lab mostly waits; the browser's come before them: they measure time.
test: lab-packages test-packages check browser-tests
	@$(MAKE) --no-print-directory -j2 --keep-going --output-sync=target lab-tests lab-tests-beside

LAB_TESTS := $(BIN)/pytest --durations=15 -m 'not sabotage'

# This builds towns of its own, and goes where it makes the two lines as long as each other.
OWN_TOWNS := tests/lab/test_gateway_dates_and_names.py

lab-tests:
	$(LAB_TESTS) --lab-release trixie --ignore-glob '*/test_engine*.py' $(OWN_TOWNS:%=--ignore=%) tests/lab

# The engine's tests have a process of their own, as above.
lab-tests-beside:
	$(LAB_TESTS) tests/lab/test_engine*.py
	$(LAB_TESTS) --lab-release bookworm --ignore-glob '*/test_engine*.py' --ignore tests/lab/directory tests/lab
	$(LAB_TESTS) --lab-release trixie $(OWN_TOWNS)

# Breaks the town in every way that a check is there for: half an hour.
test-sabotage: lab-packages
	$(BIN)/pytest tests/lab/test_sabotage.py

vagrant-packages: install
	@$(BIN)/python -m toolkit.lab packages --provider vagrant --install

# Real kernels, under KVM or in emulation (half an hour): not part of `make test`. Writes its result into docs/vagrant.md.
test-vagrant: vagrant-packages
	$(BIN)/pytest -x tests/vagrant --vagrant-release $(LAB_RELEASE)

demo: install lab-packages
	@$(BIN)/python -m toolkit.demo --release $(LAB_RELEASE)

# Side by side with other tools: needs a computer with nothing else to do, and some two hours.
bench: install lab-packages
	$(BIN)/python -m benchmarks

clean:
	rm -rf tests/browser/node_modules .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache demo
