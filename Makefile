# Two commands matter: `make run` and `make test`. The rest is listed by `make help`.
SHELL := /bin/bash
PAYLAKE := bin/paylake
# Variables of the command line that become settings: make run START=2026-09-12 DAYS=30 SEED=7
SETTINGS := START DAYS MERCHANTS TERMINALS TXNS SEED
$(foreach name,$(SETTINGS),$(if $($(name)),$(eval export PAYLAKE_$(name) := $($(name)))))

.DEFAULT_GOAL := help
.PHONY: help run stop test test-long lint env clean bench compile

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run:  ## set everything up, let the demo institution trade, load, gate, release, report, show
ifdef FEEDS
	@$(PAYLAKE) mapped --feeds "$(FEEDS)" --mapping "$(MAPPING)"
else
	@$(PAYLAKE) demo
endif

stop:  ## stop the servers that `make run` started, and nothing else
	@$(PAYLAKE) down

test:  ## check the project from the same locks (offline once installed)
	@bin/check

test-long:  ## kills, seeds, fuzzing, scale; prints its counts
	@bin/check long

lint:  ## style, import arrows, SQL
	@bin/check lint

bench:  ## figures of docs/explanation/speed.md, as ratios beside a peer
	@python=$$(bin/python-of test) && PYTHONPATH=. $$python -m benchmarks

compile:  ## the ledger's hot modules as machine code: a fifth faster (needs a C compiler)
	@bin/compile-ledger

env:  ## make all environments from their locks
	@for name in lake airflow superset; do bin/python-of $$name >/dev/null || exit $$?; done

clean:  ## remove this home (not the environments): PAYLAKE_HOME, or var/demo
	@$(PAYLAKE) down >/dev/null; rm -rf "$${PAYLAKE_HOME:-var/demo}"
