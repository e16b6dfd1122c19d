# `make` lists the targets.

STAMP := .venv/.installed
RUN := .venv/bin/python
RUNS_DIR ?= $(CURDIR)/runs
MLFLOW_PORT ?= 5000

.PHONY: help search test test-slow test-cluster test-browser faults chaos browser slurm lint docs mlflow

help:
	@echo 'make search        environment, then a search on real data; settings in ARGS, as in ARGS="--trials 50"'
	@echo 'make test          environment, then the tests'
	@echo 'make test-slow     the tests that take minutes'
	@echo 'make test-cluster  the tests that start several Ray nodes on this machine'
	@echo 'make faults        searches that are killed, starved, cut off and damaged, for about an hour'
	@echo 'make chaos         a search on machines that fail in every way, at random, for half an hour, as root'
	@echo 'make test-browser  the tests that drive a web page in Chromium'
	@echo 'make browser       installs Chromium where apt-get does, as root, then runs those tests'
	@echo 'make slurm         installs Slurm where apt-get does, as root, then runs the batch script under it'
	@echo 'make lint          ruff and mypy'
	@echo 'make docs          the pages of docs/ as a site, in site/'
	@echo 'make mlflow        the runs in a browser, on 127.0.0.1; RUNS_DIR and MLFLOW_PORT choose others'
	@echo 'The environment is .venv, made with python3 or PYTHON=/path/to/python (3.11 to 3.13).'

search: $(STAMP)
	@$(RUN) nas/search.py $(if $(filter --space% --resume% --config%,$(ARGS)),,--space resnet_stages) $(ARGS)

# Two processes, a file of tests to one of them: what a file's tests share is made once. A test that hangs, even with
# Python's lock taken, ends the run after ten minutes, with the stacks of its threads.
test: $(STAMP)
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 \
	  -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true $(ARGS)

test-slow test-cluster test-browser: test-%: $(STAMP)
	$(RUN) -m pytest -m $* $(ARGS)

faults: $(STAMP)
	$(RUN) -m pytest -m 'slow or not slow' tests/faults $(ARGS)

chaos: $(STAMP)
	$(RUN) -m pytest -m chaos -s tests/cluster/test_chaos.py $(ARGS)

# Debian's names; Ubuntu installs Chromium as a snap.
browser:
	apt-get update -qq
	apt-get install -y --no-install-recommends chromium chromium-driver
	@$(MAKE) test-browser

# Slurm as Debian and Ubuntu have it; the test starts daemons of its own on loopback.
slurm: $(STAMP)
	apt-get update -qq
	apt-get install -y --no-install-recommends slurm-wlm munge
	$(RUN) -m pytest -m cluster -rs tests/cluster/test_slurm.py $(ARGS)

lint: $(STAMP)
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

docs: $(STAMP)
	$(RUN) -m mkdocs build --strict

mlflow: $(STAMP)
	@mkdir -p "$(RUNS_DIR)"
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false $(RUN) -m mlflow server \
	  --backend-store-uri "sqlite:///$(RUNS_DIR)/mlflow.db" --default-artifact-root "$(RUNS_DIR)/mlflow-artifacts" \
	  --host 127.0.0.1 --port $(MLFLOW_PORT)

# The stamp holds the directory that .venv was made in: the scripts of a moved or copied one still run the old one's code.
ifneq ($(shell test -x $(RUN) && cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

# .venv/.installing holds the process that installs. Found without that process, the install was cut off and .venv is made anew.
$(STAMP): pyproject.toml constraints.txt
	@trap 'exit 130' INT TERM HUP; \
	fail() { echo "error: $$1" >&2; exit 1; }; \
	if [ -e .venv/.installing ]; then \
	  installer=$$(cat .venv/.installing); \
	  kill -0 $$installer 2>/dev/null && fail "process $$installer is making .venv: wait for it, or delete .venv if that is another program"; \
	elif [ -e .venv ] && [ ! -e $(STAMP) ]; then \
	  fail ".venv was not made by make: delete or rename it"; \
	fi; \
	if [ -e .venv/.installing ] || [ "$$(test -x $(RUN) && cat $(STAMP))" != "$$(pwd -P)" ]; then \
	  looked=; python=; \
	  for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
	    version=$$("$$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || version='not found'; \
	    case $$version in \
	      3.11.*|3.12.*|3.13.*) \
	        if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi; \
	        version="$$version without the venv module" ;; \
	    esac; \
	    looked="$$looked$${looked:+, }$$candidate ($$version)"; \
	  done; \
	  [ -n "$$python" ] || fail "Python 3.11, 3.12 or 3.13 with the venv module is needed; looked for $$looked; another is given by PYTHON=/path/to/python"; \
	  echo "Making .venv with $$python ($$version): some minutes, and 3 GB or more to download where torch comes with CUDA."; \
	  mkdir -p .venv && echo $$$$ > .venv/.installing && rm -rf .venv/* $(STAMP) && "$$python" -m venv .venv || exit 1; \
	fi; \
	echo $$$$ > .venv/.installing; \
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt pip setuptools && \
	$(RUN) -m pip install --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[search]' --group dev && \
	$(RUN) -m trainers.data.torchvision_operators || \
	  { [ ! -e $(STAMP) ] || rm .venv/.installing; exit 1; }; \
	pwd -P > $(STAMP); rm .venv/.installing
