# Plain targets over cargo. `make demo` and `make test` install what is missing and do everything.

CARGO ?= cargo
PROGRAMS := word-count tour primes ring bench conformance plain
WASM := wasm32-wasip1

.PHONY: demo test models bench programs build setup lint clean

# The main job on both backends, on real text; then the same once more, in the sandbox.
demo: build
	@for backend in native sandbox; do \
	  echo "== procbox map --backend $$backend: words, lines and bytes of each license"; \
	  case $$backend in native) p=word-count;; *) p=word-count.wasm;; esac; \
	  target/release/procbox map --backend $$backend -j 2 target/programs/$$p /usr/share/common-licenses/* || exit 1; \
	done

# All tests: unit, conformance on both backends, the real binary, doc tests; then the models.
test: build
	$(CARGO) test --release --workspace --exclude procbox-programs
	@$(MAKE) --no-print-directory models

# The lock-free protocols, in every interleaving: loom has its own atomics, and so its own build.
models:
	RUSTFLAGS="--cfg loom" $(CARGO) test --release -p procbox-models --target-dir target/loom

# The criterion groups, with their peers.
bench: build
	$(CARGO) bench -p procbox-bench-peers

build: programs
	$(CARGO) build --release

# Every program, the samples and those of the tests, natively and for the sandbox, as
# target/programs/NAME and NAME.wasm.
programs: setup
	$(CARGO) build --release -p procbox-programs -p procbox-cases
	$(CARGO) build --release -p procbox-programs -p procbox-cases --target $(WASM)
	@mkdir -p target/programs
	@for p in $(PROGRAMS); do \
	  cp -f target/release/$$p target/programs/$$p && \
	  cp -f target/$(WASM)/release/$$p.wasm target/programs/$$p.wasm || exit 1; \
	done

# rust-toolchain.toml names the target and the components; this makes sure of them.
setup:
	@rustup target list --installed | grep -qx $(WASM) || rustup target add $(WASM)
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt

# What CI asks for besides the tests.
lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release -p procbox-guest -p procbox-programs -p procbox-cases --target $(WASM) -- -D warnings

clean:
	$(CARGO) clean
