# demo         linkproof --once on an instance of the lab; FAULT=nat-open breaks something, FAULT=help
#              lists all faults
# test         format, lints, unit tests, tests in the lab, limits of the release build
# lint         format, clippy, documentation, dependencies (cargo-deny, cargo-machete)
# advisories   looks the dependencies up in the RustSec database, which it downloads from GitHub
# packages     .deb and .rpm for x86_64 and arm64, in target/packages
# test-system  the packages on a booted systemd
# rehearsal    of that, an operator's day: image, user data, alerts, page, upgrade, purge. It takes the
#              packages that `make packages` built
# fuzz         feeds every parser for FUZZ_SECONDS with what a fuzzer makes of tests/fuzz/corpus;
#              FUZZ="import answer" feeds these alone
# mutants      changes one decision at a time and shows the changes that no test notices: about 2,100,
#              each of which is built and tested in ten seconds. CARGO_MUTANTS_JOBS=4 does four at a
#              time; MUTANTS="-F verdict/egress" does a part
# bench        linkproof beside dig, ping, the AWS CLI, fping and blackbox_exporter in the lab, and its
#              latencies beside those of the packets: a table, and target/bench.json. Takes 18
#              minutes; other work on the machine spoils the figures. BENCH="exporter scale" does these
#              parts alone; the others are by-hand, lateness and latency
# bench-pure   of that, what needs no network: decisions and pages at the size of 10 and 200 endpoints,
#              by criterion
# soak         random faults for SOAK_SECONDS, then a thousand hostile clients: stale passes, leaks,
#              latency of scrapes
# reproduce    builds the packages of this commit again from nothing and compares them byte for byte
CARGO ?= cargo
# The lab makes network namespaces, which needs root.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)
# The release build whose limits are tested. CI sets the build that it packages, to build only once.
RELEASE ?= target/release/linkproof
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 3600
RUNNER := $(if $(ROOT),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT)")
# .ci/install puts cargo-deny and cargo-machete there.
TOOLS := PATH="$(CURDIR)/target/tools/bin:$$PATH"

.PHONY: demo test lint dependencies advisories mutants packages test-system rehearsal fuzz bench bench-pure soak reproduce

demo:
	@.ci/install build lab
	@$(CARGO) build --quiet --bin linkproof --example lab
	@# A check that fails is what the demonstration shows, not an error of the demonstration.
	@$(ROOT) target/debug/examples/lab demo target/debug/linkproof $(FAULT) || case $$? in 1|2|78) ;; *) exit 1;; esac

test:
	.ci/install build lint lab tests
	$(MAKE) lint
	$(if $(filter target/release/%,$(RELEASE)),$(CARGO) build --release --bin linkproof)
	$(CARGO) build --bin linkproof --example lab
	$(CARGO) test --lib
	LINKPROOF_RELEASE=$(abspath $(RELEASE)) $(RUNNER) $(CARGO) test --test it

lint: dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings
	@# --all-targets leaves it out, because it has test = false in Cargo.toml.
	$(CARGO) clippy --test system --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items --quiet

# Installs nothing: `.ci/install lint` does.
dependencies:
	@for tool in cargo-deny cargo-machete; do $(TOOLS) command -v $$tool >/dev/null || \
		{ echo "$$tool is missing: install it below target/tools with .ci/install lint" >&2; exit 1; }; done
	$(TOOLS) cargo-deny --log-level warn check --hide-inclusion-graph bans licenses sources
	$(TOOLS) cargo-machete

advisories:
	$(TOOLS) cargo-deny check advisories

packages:
	.ci/install build packaging
	.ci/package target/packages

test-system: packages
	.ci/install build lab tests system
	$(RUNNER) $(CARGO) test --test system

rehearsal:
	.ci/install build lab tests system
	$(RUNNER) $(CARGO) test --test system -- rehearsal --nocapture

fuzz:
	.ci/install fuzz
	.ci/fuzz $(FUZZ_SECONDS) $(FUZZ)

bench-pure:
	RUSTFLAGS="--cfg fuzzing" CARGO_TARGET_DIR=$(CURDIR)/target/pure \
		$(CARGO) bench --manifest-path tests/pure/Cargo.toml

soak:
	.ci/install build lab tests
	$(CARGO) build --release --bin linkproof
	$(CARGO) build --bin linkproof --example lab
	LINKPROOF_RELEASE=$(abspath $(RELEASE)) LINKPROOF_TRUTH_SECONDS=$(SOAK_SECONDS) \
		$(RUNNER) $(CARGO) test --test it -- --nocapture --test-threads=1 endurance:: soak::

bench:
	.ci/install build lab bench
	$(CARGO) build --release --bin linkproof --example bench
	$(ROOT) target/release/examples/bench target/release/linkproof target/bench.json $(BENCH)

reproduce: packages
	.ci/reproduce

mutants:
	command -v cargo-mutants >/dev/null || $(CARGO) install --locked cargo-mutants
	CARGO_PROFILE_TEST_DEBUG=false CARGO_PROFILE_DEV_DEBUG=false PROPTEST_CASES=64 \
		$(CARGO) mutants --output target $(MUTANTS)
