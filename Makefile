# make serve          install the service into .venv and run it (ARGS="--port 9000" and so on go to `inkling serve`)
# make environment    install everything into .venv, which `make test` also does
# make test           install everything, then lint and all tests in two processes (PYTEST="-k clock": those, in one)
# make lint           ruff and mypy
# make bench          measure the service on one core, for a quarter of an hour; the last line is JSON
# make attack         attack a real server, with a healthy stream beside each attack; ten minutes, the last line is JSON
# make docs           the documentation as a site in site/, without the internet
# make train-default  train the embedded models again, from the downloads under DATA

PYTHON ?= python3
VENV ?= .venv
DATA ?= downloads
ARGS ?=
# Two processes: one computes while the other waits for a socket or a clock. Each takes half of the tests in their order,
# so that fixtures are seldom made twice; the one that ends first takes over tests of the other. More threads would only
# wait for each other.
PYTEST ?= -n 2 --dist worksteal

BIN := $(VENV)/bin
# onnxruntime comes once: for an NVIDIA driver that answers, else for the CPU.
ENGINE := $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
SERVICE := $(VENV)/.service-$(ENGINE)
EVERYTHING := $(VENV)/.everything-$(ENGINE)
SITE := $(VENV)/.docs

# What body-actions learns from.
SETS := penn jhmdb14 jhmdb21-people ucf101-people fight300-people urfall-people

.PHONY: help serve environment test lint bench attack docs train-default
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# make/make/p' $(MAKEFILE_LIST)

serve: $(SERVICE)
	$(BIN)/inkling serve $(ARGS)

environment: $(EVERYTHING)

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST)

lint: $(EVERYTHING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(EVERYTHING)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

attack: $(EVERYTHING)
	@$(BIN)/python -m tests.attacks $(ARGS)

docs: $(SITE)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Prepared data sets and finished runs are kept: delete datasets/, runs/ and bundles/ to begin from nothing.
train-default: $(EVERYTHING) $(addprefix datasets/,$(addsuffix /clips.csv,$(SETS) urfall))
	$(BIN)/inkling train fit body-actions --data datasets
	$(BIN)/inkling train evaluate runs/body-actions --data datasets
	$(BIN)/inkling train export runs/body-actions bundles --version 5
	$(BIN)/inkling train fit fall-watch --data datasets
	$(BIN)/inkling train export runs/fall-watch bundles --version 1.1

# clips.csv is written last: a folder that has one is complete.
datasets/penn/clips.csv: | $(EVERYTHING)
	$(BIN)/inkling train prepare penn $(DATA)/penn_action/labels.zip $(@D)

datasets/urfall/clips.csv: | $(EVERYTHING)
	$(BIN)/inkling train prepare urfall $(DATA)/urfall datasets --recipe fall-watch

datasets/jhmdb14/clips.csv: | $(EVERYTHING)
	$(BIN)/inkling train prepare jhmdb14 $(DATA)/jhmdb14_pose/jhmdb14_pose.npz $(@D) --videos $(DATA)/jhmdb

# Poses of the people in films. Killed, it continues with the films that are left.
datasets/jhmdb21-people/clips.csv: | $(EVERYTHING)
	$(BIN)/inkling train prepare people $(DATA)/jhmdb $(@D) --split 1

datasets/ucf101-people/clips.csv: | $(EVERYTHING)
	$(BIN)/inkling train prepare people $(DATA)/ucf101_5 $(@D) --split 1

datasets/fight300-people/clips.csv: | $(EVERYTHING)
	$(BIN)/inkling train prepare people $(DATA)/fight300 $(@D) --people all

datasets/urfall-people/clips.csv: | $(EVERYTHING)
	$(BIN)/inkling train prepare urfall-people $(DATA)/urfall datasets

# -- the environment ---------------------------------------------------------------------------------------------
# Each stamp says that pyproject.toml was installed as it is now.
$(SERVICE): pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[serve,$(ENGINE)]'
	@touch $@

$(EVERYTHING): pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[serve,$(ENGINE),train,docs,dev]'
	@touch $@ $(SERVICE)

$(SITE): pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Inkling needs Python 3.11 or later: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
