# Everything a fresh machine with Python 3.11, make and git needs happens by itself: uv is taken from PATH or fetched
# with pip into .uv/, the locked dependencies go to .venv/. No docker, no system database.

SHELL := /bin/bash
PYTHON ?= python3
# A uv on PATH may be a shim that does not run, hence --version.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
SYNCED := .venv/.synced
# Where the data sets of the benchmarks lie, one folder each; what is not there is left out.
DATA ?= ../shared/data
# kill -9 of server and database under load, in `make bench`; the tests do 16. Twice as many of workers in any step of
# any playbook; the tests do 3.
CRASHES ?= 100
PICTURES := tower order policy-simulate demand-item campaign-assessed planning-map story

# Programs start in a third of the time where Python keeps what it has compiled; some images tell it not to.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup console demo test engines check bench golden pictures docs clean

help:           ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 10

setup: $(SYNCED) console ## install everything into .venv, and build the console

# Looks by itself whether anything has changed since: a tenth of a second.
console: $(SYNCED) ## build the web page that `onhand serve` shows at /
	@$(RUN) python console/build.py

demo: $(SYNCED) console ## the whole product with a simulated world; DEMO_ARGS="--port 8080 --speed 60 --for 30"
	$(RUN) onhand demo $(DEMO_ARGS)

test: $(SYNCED) console ## every test; TEST_ARGS="tests/ledger -k count -x"
	$(RUN) pytest -n 2 --dist worksteal -m "not engine" $(TEST_ARGS)

# Not under `uv run`: Ray looks for that, and then starts each of its workers with it too.
engines: $(SYNCED) ## forecasts spread over Ray (and Spark, where it is installed): the same numbers
	.venv/bin/pytest -m engine tests/library/test_engines.py

check: $(SYNCED) ## format, lint, types, direction of imports, declared dependencies
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) pyright
	$(RUN) lint-imports
	$(RUN) deptry src
	$(RUN) python console/build.py --check

bench: $(SYNCED) ## figures as ratios to the raw database, then 100 kills; BENCH_ARGS="--seconds 3" CRASHES=0
	$(RUN) onhand bench --suite sourcing
	for name in fulfilment brunel; do \
		if [ -d $(DATA)/$$name ]; then $(RUN) python benchmarks/$$name.py --data $(DATA)/$$name || exit 1; fi; done
	if [ -d $(DATA)/m5 ]; then $(RUN) python benchmarks/forecast_m5.py --data $(DATA)/m5 --origins 3 || exit 1; fi
	if [ -d $(DATA)/walmart ]; then $(RUN) python benchmarks/forecast_walmart.py --data $(DATA)/walmart || exit 1; fi
	$(RUN) python benchmarks/forecast_many.py
	if [ -d $(DATA)/dominicks ]; then $(RUN) python benchmarks/elasticity_dominicks.py --data $(DATA) || exit 1; fi
	$(RUN) onhand bench --suite planning
	$(RUN) onhand bench --suite publication
	$(RUN) python benchmarks/planning_twin.py --seeds 2 --items 16
	$(RUN) python benchmarks/detectors.py
	$(RUN) python benchmarks/playbooks.py
	$(RUN) python benchmarks/incidents.py
	$(RUN) python benchmarks/console.py
	$(RUN) python benchmarks/payments.py
	$(RUN) python benchmarks/payments_served.py --orders 500 --kills 10
	ONHAND_PAID_ORDERS=500 $(RUN) pytest -q -s --timeout 7200 tests/flows/test_paid_orders.py
	$(RUN) onhand bench --suite promise $(BENCH_ARGS)
	$(RUN) python benchmarks/scenarios.py --seeds 10
	if [ $(CRASHES) -gt 0 ]; then ONHAND_CRASHES=$(CRASHES) $(RUN) pytest -q --timeout 7200 tests/crash; fi
	if [ $(CRASHES) -gt 0 ]; then \
		ONHAND_KILLS=$$((2 * $(CRASHES))) $(RUN) pytest -q --timeout 7200 tests/flows/playbooks/test_workers.py -k kill_9; fi

golden: $(SYNCED) ## rewrite the golden files; read the diff before you commit it
	ONHAND_GOLDEN=write $(RUN) pytest -q -k golden

pictures: $(SYNCED) console ## draw the pictures of the explanations and take those of the console again; look at them
	$(RUN) python benchmarks/pictures.py
	$(RUN) pytest -q tests/browser
	for name in $(PICTURES); do cp .cache/screenshots/$$name-1440-light.png docs/pictures/console/$$name.png; done

# In an environment of its own, which the tests do not see.
docs: $(SYNCED) ## build the documentation into site/; a warning is a failure
	$(UV) run --frozen --isolated --only-group docs zensical build --clean --strict

clean:          ## forget the environments and caches
	rm -rf .venv .uv site console/node_modules src/onhand/api/console .pytest_cache .ruff_cache .import_linter_cache

$(SYNCED): pyproject.toml uv.lock | $(filter .uv/%,$(UV))
	$(UV) sync --frozen
	@touch $@

# pip refuses to install into a system Python that its distribution manages, so uv gets an environment of its own;
# where the distribution left venv out, pip may still install into a plain folder.
.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "onhand needs Python 3.11 or later; say which one with PYTHON=..., or install uv" >&2; exit 1; }
	@mkdir -p .uv && echo '*' > .uv/.gitignore
	@{ $(PYTHON) -m venv .uv >/dev/null 2>&1 && .uv/bin/python -m pip install --quiet uv; } || \
		{ rm -rf .uv/lib .uv/bin && $(PYTHON) -m pip install --quiet --target .uv uv; } || \
		{ echo "uv could not be installed: install python3-venv (or uv itself) and run make again" >&2; exit 1; }
