# demo  linkproof --once on an instance of the lab; FAULT=nat-open breaks something, FAULT=help lists what
# test  everything but packages: format, lints, tests in the lab, limits of the release build
# packages     .deb and .rpm for x86_64 and arm64, in target/packages
# test-system  the packages on a booted systemd, and their binaries
# mutants      each decision changed once: which change does no test notice? Two hours on two cores,
#              less with CARGO_MUTANTS_JOBS=4 on more; MUTANTS="-F verdict/egress" for a part
# reproduce    the packages of this commit once more, from nothing, compared byte for byte
CARGO ?= cargo
# The lab makes network namespaces, which takes root.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)
# The release build whose limits are tested. CI names the one that is packaged, to build it once.
RELEASE ?= target/release/linkproof
RUNNER := $(if $(ROOT),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT)")

.PHONY: demo test lint mutants packages test-system reproduce

demo:
	@.ci/install build lab
	@$(CARGO) build --quiet --bin linkproof --example lab
	@# A verdict is no failure of the demonstration.
	@$(ROOT) target/debug/examples/lab demo target/debug/linkproof $(FAULT) || case $$? in 1|2|78) ;; *) exit 1;; esac

test: lint
	.ci/install build lab tests
	$(if $(filter target/release/%,$(RELEASE)),$(CARGO) build --release --bin linkproof)
	$(CARGO) build --bin linkproof --example lab
	$(CARGO) test --lib
	LINKPROOF_RELEASE=$(abspath $(RELEASE)) $(RUNNER) $(CARGO) test --test it

lint:
	.ci/install build
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings
	@# No target of "all", since `cargo test` leaves it alone.
	$(CARGO) clippy --test system --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items --quiet

packages:
	.ci/install build packaging
	.ci/package target/packages

test-system: packages
	.ci/install build lab tests system
	$(RUNNER) $(CARGO) test --test system

reproduce: packages
	.ci/reproduce

mutants:
	command -v cargo-mutants >/dev/null || $(CARGO) install --locked cargo-mutants
	$(CARGO) mutants --output target $(MUTANTS)
