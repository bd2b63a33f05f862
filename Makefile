# `make help` lists the targets. The first use of benchmark, test, figures, tables, page or lint sets up
# .venv by itself.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CXX_FOUND := $(shell command -v $${CXX:-c++} || command -v g++ || command -v clang++)
CORES ?= all
# what torch needs on a GPU alone
CUDA := ^(cuda-|nvidia-|triton)
# Snakemake ends in a traceback on files that it cannot read
CHECK := $(if $(CONFIG),PYTHONPATH=workflow $(BIN)/python -m pipeline.planning.config_files $(CONFIG) &&)
SNAKEMAKE := $(CHECK) $(BIN)/snakemake
OWN := $(if $(CONFIG),--configfile $(CONFIG))

.PHONY: help benchmark figures tables page test lint clean

help:
	@echo 'make benchmark  run the benchmark of config/default.yaml; tables and figures in results/'
	@echo 'make figures    draw the figures again from the collected results'
	@echo 'make tables     write the tables again from the collected results'
	@echo 'make page       make the page again from the collected results'
	@echo 'make test       style checks and all tests'
	@echo 'make lint       style checks alone'
	@echo 'make clean      remove what the workflow made; .venv, results/reference and board stay'
	@echo
	@echo 'CONFIG=...      a configuration of your own, laid over config/default.yaml'
	@echo 'CORES=4         number of jobs at a time (default: all cores)'
	@echo 'CPU=1           set .venv up without CUDA, see README.md'
	@echo 'PYTHON=...      the Python 3.11 that .venv is made with'

benchmark: $(STAMP)
	$(SNAKEMAKE) --cores $(CORES) $(OWN)

figures: $(STAMP)
	$(SNAKEMAKE) --cores 1 figures $(OWN)

tables: $(STAMP)
	$(SNAKEMAKE) --cores 1 tables $(OWN)

page: $(STAMP)
	$(SNAKEMAKE) --cores 1 page $(OWN)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile workflow/rules

# one thread per worker: the two workers fill two cores
test: lint
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf .snakemake $(filter-out results/reference results/board,$(wildcard results/*))

$(STAMP): requirements.lock
	@[ -n "$(PYTHON)" ] && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo 'Python 3.11 is needed: install it, name it (make PYTHON=/path/to/python3.11), or' \
	         'use conda (environment.yml).' >&2; exit 1; }
	@[ -n "$(CXX_FOUND)" ] || \
	  { echo 'A C++ compiler is needed to build nncodec: install one (Debian: apt install g++,' \
	         'conda: cxx-compiler).' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	grep -vE '$(if $(CPU),$(CUDA),^$$)' requirements.lock > $(VENV)/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.lock
	@touch $@
