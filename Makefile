# Each target installs what it needs. `make demo` runs everything on the demo.

VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
CONFIG ?=
export PATH := $(CURDIR)/$(BIN):$(PATH)

# The first Python that runs and has the right version.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null \
	&& echo $$python && break; done)

.PHONY: setup demo study publish-study test test-slurm test-true-size lint format bench bench-scaling \
	bench-generation check-model train-model lock clean help

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/installed ## Install into .venv and run nothing; then: . .venv/bin/activate

demo: $(VENV)/installed ## Run the whole workflow on the demo and print a summary
	snakemake --cores $(CORES)
	snakemake --cores 1 --quiet all --report results/report/report.html
	@cat results/report/summary.md

study: $(VENV)/installed ## Run the demo's studies: did synthetic images help? (76 minutes on 2 cores)
	snakemake --cores $(CORES) study_all --max-jobs-per-timespan 2000/20s --configfile config/study.yaml
	snakemake study_all --cores 1 --quiet all --report results/studies/report.html --configfile config/study.yaml
	@cat results/studies/*/study.md

publish-study: $(VENV)/installed ## Write the results of the studies into README.md and docs/studies
	python tools/publish_studies.py

test: $(VENV)/installed ## Run the tests (those on Slurm: make test-slurm)
	pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slurm: $(VENV)/installed ## Run the demo on a real Slurm, installed and started for it (root on Debian)
	CONFIG="$(CONFIG)" tests/slurm/run

test-true-size: $(VENV)/installed ## Run the workflow on a photograph with models at true size (an hour on 2 cores, 16 GB)
	pytest tests/true_size -s

lint: $(VENV)/installed ## Lint the code and the workflow
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

format: $(VENV)/installed ## Format the code
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

bench: $(VENV)/installed ## Time metrics, scores and features against the libraries (docs/benchmarks.md)
	python tools/bench.py --write docs/benchmarks.md

bench-scaling: $(VENV)/installed ## Measure dry runs and stages at 1e3 to 1e6 images (docs/scaling.md; an hour)
	python tools/bench_scaling.py --write docs/scaling.md

bench-generation: $(VENV)/installed ## Measure generation at true size, on the GPU if there is one (docs/generation-speed.md)
	python tools/bench_generation.py --write docs/generation-speed.md

check-model: $(VENV)/installed ## Measure the demo's diffusion model on 500 held-out scenes
	python tools/check_model.py

train-model: $(VENV)/installed ## Train the demo's diffusion model and feature network again (hours)
	python tools/train_tiny_sd.py
	python tools/distill_tiny_sd.py
	python tools/train_tiny_features.py

lock: ## Choose the newest versions that requirements.in allows, and write requirements.txt
	tools/lock.sh "$(PYTHON)"

clean: ## Delete everything that the workflow made, the store of images too; data/real stays
	rm -rf .snakemake results logs benchmarks data/conditions data/varied data/generated data/mixed data/store

$(VENV)/installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "CIA needs Python 3.11 or 3.12, and neither is on the PATH (python3 is $$(python3 --version 2>&1)). Install one, or run: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test ! -L $(VENV) || { echo "$(VENV) is a link to $$(readlink -f $(VENV)), which may serve others: not cleared. Bring it up to date where it is, then: touch $(VENV)/installed" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --no-deps --disable-pip-version-check -r requirements.txt
	@touch $@
