# What one needs day to day. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build completions test command-test dashboard-test monitoring-test fault fuzz-wire long bench lint \
	format clean \
	libraries test-tools bench-tools dashboard-tools

SWIFT ?= swift
JOBS ?= $(shell nproc)

# What a build needs, what it can use, and what only the tests and the benchmarks need. Debian and Ubuntu names.
BUILD_PACKAGES := libcurl4-openssl-dev zlib1g-dev pkg-config libnghttp2-dev libbrotli-dev
TEST_PACKAGES := curl nginx-light wget python3 python3.11-doc prometheus
BENCH_PACKAGES := nginx-light wrk python3 util-linux
DASHBOARD_PACKAGES := chromium fonts-dejavu-core python3 python3-websocket

# SwiftPM does not look again when a header is installed later, so the manifest is told. Looked up when a recipe
# runs, after packages were installed.
LIBRARIES = $(shell for dir in /usr/include /usr/local/include; do \
	[ -e $$dir/nghttp2/nghttp2.h ] && echo nghttp2; [ -e $$dir/brotli/encode.h ] && echo brotli; done | sort -u | xargs)
BUILD = ROCKPOOL_LIBRARIES="$(LIBRARIES)" $(SWIFT) build -j $(JOBS)
# Of a crash: the thread that crashed, at the end of the output, at once. Every thread of a node takes minutes.
TEST = SWIFT_BACKTRACE=threads=crashed,registers=none,images=none,color=no ROCKPOOL_LIBRARIES="$(LIBRARIES)" $(SWIFT) test
RELEASE = .build/release/rockpool

# $(call install,packages): installs those that are missing, and does nothing when none is. The tests start an nginx
# of their own, and of Prometheus they use promtool, so Debian's services must not come up by themselves and take
# ports: where systemd runs, a service that is not there yet is masked before its package comes (`systemctl unmask
# nginx` undoes it); one that is there already is left alone. In containers without systemd the package starts nothing.
define install
@missing=""; \
for package in $(1); do \
	dpkg-query -W -f='$${Status}' "$$package" 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
done; \
if [ -n "$$missing" ]; then \
	if ! command -v apt-get >/dev/null; then \
		echo "Install with this system's package manager what Debian calls:$$missing" >&2; exit 1; fi; \
	root=(env); \
	if [ "$$(id -u)" != 0 ]; then \
		if ! command -v sudo >/dev/null; then \
			echo "Packages are missing. As root: apt-get install$$missing" >&2; exit 1; fi; \
		root=(sudo env); fi; \
	echo "Installing:$$missing"; \
	for service in nginx prometheus; do \
		if [[ "$$missing" == *$$service* && -d /run/systemd/system ]] && \
			! systemctl cat "$$service.service" >/dev/null 2>&1; then \
			"$${root[@]}" systemctl mask "$$service.service"; fi; \
	done; \
	"$${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get update -qq; \
	"$${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
fi
endef

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, then start a node, an origin and a page that shows what happens
	$(RELEASE) demo

build: libraries ## the release binary, .build/release/rockpool
	$(BUILD) -c release --product rockpool

completions: build ## completions of the command line for bash, zsh and fish, in .build/completions
	mkdir -p .build/completions
	$(RELEASE) --generate-completion-script bash >.build/completions/rockpool.bash
	$(RELEASE) --generate-completion-script zsh >.build/completions/_rockpool
	$(RELEASE) --generate-completion-script fish >.build/completions/rockpool.fish

test: libraries test-tools dashboard-tools ## all tests: units, end to end, a mirrored tree, kill -9, command line, page
	$(BUILD) --build-tests
	$(BUILD) -c release --product rockpool
	$(TEST)
	Tests/Mirror/mirror.sh $(RELEASE)
	python3 Tests/Fault/crash.py --binary $(RELEASE) --rounds 12
	python3 Tests/Fault/purges.py --binary $(RELEASE)
	python3 Tests/Fault/descriptors.py --binary $(RELEASE)
	python3 Tests/Monitoring/monitoring.py --binary $(RELEASE)
	python3 Tests/CommandLine/commands.py --binary $(RELEASE)
	/usr/bin/python3 Tests/Dashboard/dashboard.py --binary $(RELEASE)

monitoring-test: build test-tools ## metrics, status, alerts, dashboard and access log of a running node (5 s)
	python3 Tests/Monitoring/monitoring.py --binary $(RELEASE)

command-test: build test-tools ## every subcommand of the binary from outside; COMMAND_OPTIONS="-k Warm -v"
	python3 Tests/CommandLine/commands.py --binary $(RELEASE) $(COMMAND_OPTIONS)

fault: libraries test-tools ## the fault suites at length: a simulated disk, then 200 rounds of kill -9 (about 20 minutes)
	$(BUILD) --build-tests
	$(BUILD) -c release --product rockpool
	ROCKPOOL_FAULT_ROUNDS=$${ROCKPOOL_FAULT_ROUNDS:-4000} $(TEST) --skip-build --filter FaultTests
	python3 Tests/Fault/crash.py --binary $(RELEASE) --prove
	python3 Tests/Fault/crash.py --binary $(RELEASE) --rounds 200 $(FAULT_OPTIONS)

fuzz-wire: libraries ## a million damaged requests and responses for a node (FUZZ_OPTIONS="--seed 7 --requests 1000")
	$(BUILD) -c release --product fuzzwire
	mkdir -p .build/fuzz
	timeout $${ROCKPOOL_FUZZ_SECONDS:-5400} .build/release/fuzzwire --record .build/fuzz/last $(FUZZ_OPTIONS)

long: fault fuzz-wire ## what takes too long for every day: the fault suites, the fuzzer

bench: build bench-tools ## us beside nginx in the same run; BENCH_OPTIONS="--rounds 5 --rows hit-1KiB,miss"
	python3 Benchmarks/bench.py --binary $(RELEASE) $(BENCH_OPTIONS)

# Debian's own Python, since that is the one whose packages apt installs.
dashboard-test: build dashboard-tools ## the dashboard in a headless Chromium; DASHBOARD_OPTIONS="--screenshots DIR"
	/usr/bin/python3 Tests/Dashboard/dashboard.py --binary $(RELEASE) $(DASHBOARD_OPTIONS)

lint: ## swift format, strict
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests

format: ## rewrite the sources as `make lint` wants them
	$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests

clean: ## remove what the build made
	rm -rf .build Benchmarks/out

libraries:
	$(call install,$(BUILD_PACKAGES))

test-tools:
	$(call install,$(TEST_PACKAGES))

bench-tools:
	$(call install,$(BENCH_PACKAGES))

dashboard-tools:
	$(call install,$(DASHBOARD_PACKAGES))
