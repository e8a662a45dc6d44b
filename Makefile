# Thin on purpose: tools/setup.py brings .venv and node_modules to the pinned state, then runs the command after `--`.
# PYTHON picks the interpreter, CONFIG the configuration folder, ENVIRONMENT that of the account at hand, ARGS what a
# command gets in addition.

PYTHON ?= python3
SETUP = @command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "There is no '$(PYTHON)' on this machine: install Python 3.11 or newer, or name one, as in make PYTHON=python3.12" >&2; exit 1; }; "$(PYTHON)" tools/setup.py
# The shell reads the path from the environment, so that blanks and quotes in it stay as they are.
CONTEXT = $(if $(CONFIG),-c "config=$$CONFIG") $(if $(CHOSEN),-c "environment=$$ENVIRONMENT")
# A variable of that name in somebody's shell means something else.
CHOSEN = $(filter command line,$(origin ENVIRONMENT))
export CONFIG ENVIRONMENT BASE HEAD OUT

.PHONY: help bootstrap synth test check validate review demo bench fuzz lint format diff deploy pins wheel licences sbom audit clean
.DEFAULT_GOAL := help

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

bootstrap: ## make the bucket that templates above 50 KiB need (once, with AWS credentials)
	$(SETUP) cdk -- python -m tools.cdk bootstrap $(CONTEXT) $(ARGS)

synth: ## compile the configuration (CONFIG=path, default config/) and write cdk.out/
	$(SETUP) cdk -- python -m tools.cdk synth $(CONTEXT) $(ARGS)

test: ## run the tests
	$(SETUP) dev cdk -- python -m pytest -n 2 --dist loadfile $(ARGS)

check: ## compile the configuration and report what is wrong, without writing anything
	$(SETUP) -- dutybound check $(if $(CHOSEN),--environment "$$ENVIRONMENT") $(ARGS) $(if $(CONFIG),-- "$$CONFIG")

validate: ## check the templates of the last synthesis with cfn-lint
	$(SETUP) dev -- python -m tools.templates

review: ## say who gains what between two revisions (BASE, HEAD), in files of OUT, for a pull request
	$(SETUP) -- dutybound diff --markdown "$$OUT/access.md" --json "$$OUT/access.json" --sarif "$$OUT/access.sarif" --fail-on never $(if $(CONFIG),--config "$$CONFIG") $(ARGS) -- "$$BASE" "$$HEAD"

demo: ## deploy the configuration to an AWS emulator on this machine, act as its people, and clean up
	$(SETUP) dev cdk -- python -m demo $(if $(CONFIG),--config "$$CONFIG") $(if $(CHOSEN),--environment "$$ENVIRONMENT") $(ARGS)

bench: ## measure what everything costs, beside other tools too (ARGS="--date 2026-12-31" writes the results)
	$(SETUP) dev cdk -- python -m benchmarks $(ARGS)

fuzz: ## an hour of broken input and random organisations, or less (ARGS="--minutes 2 --seed 7")
	$(SETUP) dev cdk -- python -m fuzz $(ARGS)

lint: ## ruff, mypy and the import contracts
	$(SETUP) dev -- ruff check
	$(SETUP) -- ruff format --check
	$(SETUP) -- mypy
	$(SETUP) -- lint-imports

format: ## format the Python code and correct what ruff can correct
	$(SETUP) dev -- ruff check --fix
	$(SETUP) -- ruff format

diff: ## compare the configuration with what is deployed (needs AWS credentials)
	$(SETUP) cdk -- python -m tools.cdk diff '**' $(CONTEXT) $(ARGS)

deploy: ## deploy every stack (needs AWS credentials)
	$(SETUP) cdk -- python -m tools.cdk deploy '**' $(CONTEXT) $(ARGS)

pins: ## resolve the pins anew: requirements*.txt and package-lock.json
	$(SETUP) node -- python -m tools.pins

wheel: ## build the wheel and the source archive into build/dist, the same bytes for the same commit
	$(SETUP) -- python -m tools.wheel

licences: ## write docs/licences.md: what others wrote, under which licence, and where it goes
	$(SETUP) dev cdk -- python -m tools.licences

sbom: ## write build/sbom.json: what ships, with hashes, as CycloneDX
	$(SETUP) dev cdk -- python -m tools.sbom

audit: ## ask PyPI and npm for known weaknesses of the pins (ARGS="--strict" fails where they could not be asked)
	$(SETUP) node -- python -m tools.audit $(ARGS)

clean: ## remove everything that make made
	@rm -rf .venv node_modules cdk.out build report *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
