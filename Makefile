# make demo   a web server on http://localhost:5000, from nothing but Python 3.10+ and a package index
# make test   the whole test suite, on CPython and on MicroPython
# make check  lint, types, documentation, footprint, and what boards run and install
# make dist   wheel and sdist, make mpy: compiled modules for boards
# make bench  speed, memory and endurance, beside other frameworks
#
# Everything is installed into .venv; a file in there records each step that is done.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# the core with its parts; what MicroPython alone runs is not counted
CORE := src/microdot/microdot.py,src/microdot/protocol.py,src/microdot/headers.py,src/microdot/cookies.py,$\
	src/microdot/forms.py,src/microdot/routing.py,src/microdot/hooks.py,src/microdot/streaming.py,src/microdot/sending.py
CORE_COVERAGE := 95
PROXIES := nginx caddy chromium chromedriver:chromium-driver node:nodejs npm uwsgi_python3:uwsgi-plugin-python3
NODE := tests/cpython/node
ENGINES := tests/engines
# several processes; those that compare times come after the others, one at a time
PARALLEL := -n auto --maxprocesses=4 --dist=worksteal

.PHONY: demo test test-cpython test-micropython pytest check ruff mypy docs footprint-check footprint bench proxies node \
	utemplate packages packages-check mpy dist portable-check clean soak

demo: $(VENV)/.done-package
	@echo
	@echo "Serving examples/hello/hello.py at http://localhost:5000 (Ctrl-C ends it)"
	@$(BIN)/python examples/hello/hello.py

test: test-cpython test-micropython

test-cpython: $(VENV)/.done-test proxies node utemplate
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report= -m "not alone"
	$(BIN)/python -m pytest --cov --cov-append --cov-report= -m alone
	$(BIN)/python -m coverage report
	$(BIN)/python -m coverage report --show-missing --include=$(CORE) --fail-under=$(CORE_COVERAGE)

test-micropython: $(VENV)/.done-test utemplate
	$(BIN)/python tests/run_small.py

# The same tests without coverage, but for those that one version is enough for, for one more CPython:
# make pytest VENV=.venv-3.12 PYTHON=python3.12
pytest: $(VENV)/.done-test proxies node utemplate
	$(BIN)/python -m pytest $(PARALLEL) -m "not once and not alone"
	$(BIN)/python -m pytest -m "alone and not once"

check: ruff mypy docs footprint-check packages-check portable-check

ruff: $(VENV)/.done-dev
	$(BIN)/ruff check

mypy: $(VENV)/.done-dev
	$(BIN)/mypy

docs: $(VENV)/.done-dev utemplate
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "built docs/_build/html/index.html"

footprint-check: $(VENV)/.done-test
	$(BIN)/python tools/footprint.py --check

# make footprint PEER=1 also measures upstream's package from the index
footprint: $(VENV)/.done-test utemplate
	$(BIN)/python tools/footprint.py $(if $(PEER),--peer)

# What MicroPython's mip installs from the repository: package.json and src/*.json
packages: $(VENV)/.done-test
	$(BIN)/python tools/board_packages.py

packages-check: $(VENV)/.done-test
	$(BIN)/python tools/board_packages.py --check

# Only what all boards have, in what boards run
portable-check: $(VENV)/.done-test
	$(BIN)/python tools/portable_lint.py

# The same packages compiled, in a folder to put on a web server: dist/mpy/6/, after the version of the format
mpy: $(VENV)/.done-test
	$(BIN)/python tools/board_packages.py --mpy dist/mpy

# The wheel and the archive of the sources, each installed into an environment of its own and used
dist: $(VENV)/.done-dev
	rm -f dist/*.whl dist/*.tar.gz
	@mkdir -p dist
	$(BIN)/python -m build --outdir dist >dist/build.log 2>&1 || { cat dist/build.log; exit 1; }
	$(BIN)/python -m twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/python tools/check_dist.py dist

# make bench BENCH="--only asyncio uvloop": see bench/README.md; needs wrk and nginx
bench: $(VENV)/.done-venv
	$(BIN)/python bench/run.py $(BENCH)

# make soak SOAK="--minutes 5 --heap 192": an hour of mixed traffic on MicroPython, into build/soak
soak: $(VENV)/.done-soak
	$(BIN)/python tools/soak.py $(SOAK)

# What tests/cpython/test_behind_proxy.py, test_browser.py, test_hosts.py and test_*_interop.py run: commands, with the
# package where its name is another one. Where they cannot be installed, those tests fail and name the command.
proxies:
	@missing=; for name in $(PROXIES); do \
		PATH="$$PATH:/usr/sbin" command -v $${name%:*} >/dev/null || missing="$$missing $${name#*:}"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing || true; \
	elif [ -n "$$missing" ]; then echo "Tests will fail without$$missing. As root: apt-get install$$missing"; fi

# The clients of tests/cpython/test_*_interop.py that npm has. Where they cannot be installed, those tests fail.
node: $(NODE)/node_modules/.done

$(NODE)/node_modules/.done: $(NODE)/package.json $(NODE)/package-lock.json | proxies
	@cd $(NODE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.done || \
		echo "Tests will fail without the packages of $(NODE). Try again: make node"

# The template engine that pip cannot install: its archive has nothing to build. pip fails, but has found the archive,
# checked its hash and unpacked it. Where that does not work, the tests of microdot.utemplate fail.
utemplate: $(ENGINES)/utemplate/.done

$(ENGINES)/utemplate/.done: $(ENGINES)/requirements.txt | $(VENV)/.done-venv
	@rm -rf build/utemplate $(ENGINES)/utemplate && mkdir -p build/utemplate
	@TMPDIR=$(abspath build/utemplate) $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-clean \
		--no-deps --no-binary :all: --dest build/utemplate -r $< >build/utemplate/log 2>&1; \
	cp -r build/utemplate/pip-*/utemplate_*/utemplate $(ENGINES)/ && touch $@ || \
		{ cat build/utemplate/log; echo "Tests will fail without utemplate. Try again: make utemplate"; }

clean:
	rm -rf bench/.venv bench/.venv-upstream bench/build .venv .venv-* docs/_build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		$(NODE)/node_modules $(ENGINES)/utemplate build/utemplate build/soak dist

$(VENV)/.done-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Microdot needs Python 3.10 or later, but '$(PYTHON)' is not: try make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "'$(PYTHON)' has no venv module: install it (on Debian: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.done-package: $(VENV)/.done-venv pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.done-test: $(VENV)/.done-package requirements-test.txt requirements-alone.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-alone.txt
	@touch $@

# matplotlib draws the plot, the version that the bench suite has
$(VENV)/.done-soak: $(VENV)/.done-test bench/requirements.txt
	@grep '^matplotlib==' bench/requirements.txt | $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-r /dev/stdin
	@touch $@

$(VENV)/.done-dev: $(VENV)/.done-test requirements-dev.txt docs/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
