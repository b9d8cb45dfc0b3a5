# Everything sets itself up: `make demo` in a fresh clone needs only Python >= 3.11.
# The environment lives in .venv/; delete it to start over.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo lab test test-all bench screenshots build docs new-exercise lint setup sandbox browser network clean

demo: setup sandbox            ## build the notebooks, write a class, grade it, report
	$(BIN)/python -m autograder demo

lab: setup                     ## open JupyterLab on the student notebooks
	$(BIN)/jupyter lab lectures

test: setup sandbox browser    ## everything but the long proofs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m autograder build --check
	$(BIN)/python -m autograder selftest
	$(BIN)/python -m pytest -m "not slow"

test-all: setup sandbox browser network ## the long proofs too
	$(BIN)/python -m autograder selftest
	$(BIN)/python -m pytest

bench: setup sandbox           ## every benchmark in benchmarks/, tables to the screen
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

screenshots: setup browser     ## the pictures in docs/images
	COURSE_SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/browser/test_notebooks.py -k "wrong or solutions"

build: setup                   ## solutions/ -> lectures/
	$(BIN)/python -m autograder build

docs: setup                    ## the documentation as a site, in site/; a broken link is an error
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

new-exercise: setup            ## start an exercise: make new-exercise NOTEBOOK=01_gqa_moe NAME=...
	$(BIN)/python scripts/new_exercise.py "$(NOTEBOOK)" "$(NAME)"

lint: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed (this is %s): make PYTHON=python3.11 ..." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[lab,data,sft,grade,cluster,test]'
	touch $(READY)

# bubblewrap is the sandbox of the student processes (Linux only).
sandbox:
	@command -v bwrap >/dev/null || $(MAKE) --no-print-directory apt PACKAGE=bubblewrap \
	  WHY="grading student code in a sandbox"

# The browser tests drive Debian's Chromium; they are skipped, and say so, where it is missing.
browser:
	@command -v chromium >/dev/null || $(MAKE) --no-print-directory apt PACKAGE=chromium \
	  WHY="the browser tests (they are skipped without it)"

# The cluster's tests put scheduler and workers into network namespaces and make certificates;
# they are skipped, and say so, where these commands are missing.
network:
	@command -v ip >/dev/null || $(MAKE) --no-print-directory apt PACKAGE=iproute2 \
	  WHY="the tests of grading on a cluster (they are skipped without it)"
	@command -v openssl >/dev/null || $(MAKE) --no-print-directory apt PACKAGE=openssl \
	  WHY="the tests of grading on a cluster (they are skipped without it)"

# Install one Debian package where we may; otherwise say what to do and go on: what needs it says so too.
.PHONY: apt
apt:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing $(PACKAGE) for $(WHY)"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(PACKAGE) >/dev/null; \
	else \
	  echo "note: $(PACKAGE) is not installed; it is for $(WHY). Install it: sudo apt-get install $(PACKAGE)"; \
	fi

clean:
	rm -rf $(VENV) demo
