# SPDX-License-Identifier: MIT
# The front door. Make itself must be there; everything else is installed on the way.

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 30
COVER_MIN ?= 90
export PREFIX FUZZ_SECONDS COVER_MIN WERROR

.PHONY: help setup demo test check debug clang release asan ubsan tsan soak lint fmt \
	layers symbols bench fuzz cross cover install ci clean
.NOTPARALLEL:

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | \
		while IFS='	' read -r target text; do \
			printf '  make %-14s%s\n' "$$target" "$$text"; \
		done

demo: ## build the tenant server, load it with good and hostile scripts (1 min)
	@scripts/setup
	@scripts/build main examples/tenants/tenants examples/tenants/demo/tenants-demo
	@build/examples/tenants/demo/tenants-demo

test: ## build and run all tests
	@scripts/setup
	@scripts/test main

check: ## run one test, make check T=name: a program, a case or a function
	@scripts/setup
	@scripts/check "$(T)"

debug: ## all tests with misuse detection and lock ranks on
	@scripts/setup
	@scripts/test debug

clang: ## all tests as clang compiles them, lock annotations checked
	@scripts/setup dev
	@scripts/test clang

release: ## all tests in a build for release
	@scripts/setup
	@scripts/test release

asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/setup
	@scripts/test asan

ubsan: ## all tests under UndefinedBehaviorSanitizer alone
	@scripts/setup
	@scripts/test ubsan

tsan: ## the concurrent tests under ThreadSanitizer
	@scripts/setup dev
	@scripts/test tsan --suite concurrent

soak: ## a million OOM kills in one process, after which nothing may be left (20 min)
	@scripts/setup
	@scripts/build main tests/test_oom_many
	@BH_OOM_KILLS=1000000 build/tests/test_oom_many

lint: ## formatting, style rules and clang-tidy
	@scripts/setup dev
	@scripts/lint

fmt: ## format all C files in place
	@scripts/setup dev
	@scripts/c-files | xargs clang-format -i

layers: ## check that includes and calls go downward only
	@scripts/setup
	@scripts/build main src/libbulkhead.a
	@scripts/check-layers build

symbols: ## check the names the libraries define and export
	@scripts/setup
	@scripts/build main src/libbulkhead.a src/libbulkhead.so.$$(scripts/version) \
		preload/bulkhead-check.so check/libbulkhead-check-session.a
	@scripts/check-symbols build

bench: ## build and run the benchmarks; writes bench/results.md
	@scripts/setup dev
	@scripts/build bench
	@bench/run build-bench

fuzz: ## run every fuzzer for FUZZ_SECONDS (30)
	@scripts/setup dev
	@scripts/fuzz

cross: ## compile for aarch64 and run what an emulator can, which says what it cannot
	@scripts/setup dev
	@tests/cross/run

cover: ## line coverage of src/ by all tests; fails below COVER_MIN (90) percent or unexplained
	@scripts/setup dev
	@scripts/cover

install: ## install to DESTDIR (none) under PREFIX (/usr/local)
	@scripts/setup
	@scripts/build release installed
	@DESTDIR="$(DESTDIR)" meson install -C build-release --no-rebuild --quiet

setup: ## install the Debian packages that any target needs
	@scripts/setup dev

ci: ## everything that is checked before a change goes in
	@.ci/run

clean: ## remove all build directories
	@rm -rf build build-*
