# Two commands do all the set-up on Debian 12 with a Swift toolchain: `make run` and `make test`.
# Docs/Decisions/0001-house-settings.md says why there is one build configuration.

FLAGS := -c release -Xswiftc -enable-testing
SANITIZE := SWIFT_BACKTRACE=enable=no swift test --disable-xctest

.PHONY: help run build test check format lint tidy bench bench-snapshots prove mutate asan tsan fuzz torture simulate \
  fail-io clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1 - /p' Makefile

run: ## build, make a pool in ./demo and serve a 1 TiB volume over NBD
	@Scripts/install-packages.sh run
	swift build $(FLAGS) --product lamina
	@Scripts/run-demo.sh "$$(swift build $(FLAGS) --show-bin-path)/lamina"

build: ## build everything, tests included
	@Scripts/install-packages.sh run
	swift build $(FLAGS) --build-tests

test: ## build and run every test; FILTER=Name runs some
	@Scripts/install-packages.sh test
	@Scripts/fetch-test-tools.sh
	swift build $(FLAGS) --build-tests
	@Scripts/run-tests.sh $(FLAGS) $(if $(FILTER),--filter '$(FILTER)')

check: lint tidy test ## what CI runs: format, tidy, then test

format: ## format the sources in place
	swift format --in-place --parallel --recursive Package.swift Sources Tests Fuzz

lint: ## refuse what the formatter would change
	swift format lint --strict --parallel --recursive Package.swift Sources Tests Fuzz

tidy: ## refuse what the house style refuses, stale patches in Mutations/ and pages that are not embedded
	@python3 Scripts/mutate.py --check
	@python3 Scripts/embed-messages.py --check
	@Scripts/tidy.sh

bench: ## compare with qemu-nbd and nbdkit; ARGS="--rounds 5 --json FILE"
	@Scripts/install-packages.sh test
	swift build -c release --product lamina --scratch-path .build-bench
	@Benchmarks/run.sh compare "$$(swift build -c release --scratch-path .build-bench --show-bin-path)/lamina" $(ARGS)

bench-snapshots: ## what snapshots cost, beside qcow2; ARGS="--only after --json FILE"
	@Scripts/install-packages.sh test
	swift build -c release --product lamina --scratch-path .build-bench
	@Benchmarks/run.sh snapshots "$$(swift build -c release --scratch-path .build-bench --show-bin-path)/lamina" $(ARGS)

prove: ## explore every crash state within bounds; ARGS="--operations 4 --torn 2 --state FILE"
	@Scripts/install-packages.sh run
	swift build $(FLAGS) --product lamina-prove
	"$$(swift build $(FLAGS) --show-bin-path)/lamina-prove" explore $(ARGS)

mutate: ## make one mistake after the other and see that the harness catches it; ARGS="--only NAME"
	@Scripts/install-packages.sh run
	@Scripts/mutate.py $(ARGS)

asan: ## every test under the address sanitizer
	$(SANITIZE) --sanitize address --scratch-path .build-asan $(if $(FILTER),--filter '$(FILTER)')

tsan: ## every test under the thread sanitizer
	TSAN_OPTIONS="suppressions=$(CURDIR)/Scripts/tsan-suppressions.txt" \
	  $(SANITIZE) --sanitize thread --scratch-path .build-tsan $(if $(FILTER),--filter '$(FILTER)')

fuzz: ## fuzz every parser of foreign bytes; SECONDS=60 each, TARGET=DiskFormat for one
	@Scripts/fuzz.sh $(or $(SECONDS),60) $(TARGET)

torture: ## kill real servers under load; ROUNDS=50, SEED=…, CRASH=process, power or lies
	@Scripts/install-packages.sh run
	swift build $(FLAGS) --product lamina
	swift build $(FLAGS) --product lamina-volatile
	swift build $(FLAGS) --product lamina-torture
	@"$$(swift build $(FLAGS) --show-bin-path)/lamina-torture" --rounds $(or $(ROUNDS),50) \
	  $(if $(SEED),--seed $(SEED)) $(if $(CRASH),--crash $(CRASH))

simulate: ## random histories with faults of every kind; SECONDS=60, SEED=1
	@Scripts/install-packages.sh run
	swift build $(FLAGS) --product lamina-prove
	@"$$(swift build $(FLAGS) --show-bin-path)/lamina-prove" simulate \
	  --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1) $(ARGS)

fail-io: ## fail every I/O of short histories, in every way that it can
	@Scripts/install-packages.sh run
	swift build $(FLAGS) --product lamina-prove
	@"$$(swift build $(FLAGS) --show-bin-path)/lamina-prove" fail-io $(ARGS)

clean: ## remove every build folder
	rm -rf .build .build-asan .build-tsan .build-bench .build-mutate .build-fuzz
