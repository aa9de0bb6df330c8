# Plain targets over cargo. `make demo` and `make test` install what is missing and do everything.

CARGO ?= cargo
PROGRAMS := word-count tour primes ring bench conformance plain
WASM := wasm32-wasip1
# The target of components.
COMPONENT := wasm32-wasip2
# The crates that are published, with `procbox` and `procbox-cli`.
PUBLISHED := abi core native host guest-macros guest benches
# Those whose first page users read, and the most names on it.
LIBRARIES := procbox procbox_guest procbox_native procbox_host procbox_core
MOST_NAMES := 32
ARM := aarch64-unknown-linux-gnu
FUZZ_TARGETS := abi decode
# Seconds for each of them.
FUZZ_TIME ?= 30

.PHONY: languages demo test models walk walk-sandbox storm leaks bench peers programs build setup lint features docs package deny arm fuzz clean

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

# The protocols between processes and threads, in every order: models have their own atomics, and so their
# own build.
models:
	RUSTFLAGS="--cfg loom" $(CARGO) test --release -p procbox-models --target-dir target/loom

# The tests of the whole alone, with what they ask the environment for.
WHOLE = $(CARGO) test --release --workspace --exclude procbox-programs

# Sandboxed processes ended at every place at which one can end, in every operation, one by one, and so
# many at random moments; then native ones after every machine instruction. STRIDE=16 takes every
# sixteenth. Natively it takes hours in full, in the sandbox alone (`make walk-sandbox`) minutes.
STRIDE ?= 1
WALK_KILLS ?= 10000
walk: walk-sandbox
	$(CARGO) test --release -p procbox-native --test processes -- --walk $(STRIDE)

walk-sandbox: programs
	PROCBOX_WALK_STRIDE=$(STRIDE) PROCBOX_WALK_KILLS=$(WALK_KILLS) \
	  $(WHOLE) --test walk -- --nocapture --test-threads 1

# 100,000 native processes killed at random, stopped ones and breeders among them, and 1,000 parents; as
# many of both backends in another storm; and philosophers, for so many seconds on each.
KILLS ?= 100000
PARENTS ?= 1000
PHILOSOPHERS ?= 60
storm: programs
	$(CARGO) test --release -p procbox-native --test processes -- --storm $(KILLS)
	$(CARGO) test --release -p procbox-native --test processes -- --parents $(PARENTS)
	PROCBOX_STORM_KILLS=$(KILLS) PROCBOX_PHILOSOPHERS=$(PHILOSOPHERS) \
	  $(WHOLE) --test storm -- --nocapture --test-threads 1

# Cheap attacks on one sandbox, all of them so many times: it has no more afterwards than before.
REPEATS ?= 1000
leaks:
	PROCBOX_REPEATS=$(REPEATS) $(WHOLE) --test hostile -- --nocapture repeats

# All figures with those of the peers, as a table, as JSON and as a page; then the same by criterion.
bench: build peers
	target/release/procbox bench --json target/bench.json --html target/bench.html
	@echo "bench: target/bench.html has the plots, target/bench.json the figures"
	$(CARGO) bench -p procbox-bench-peers

# The one peer that takes more than cargo to build.
peers:
	@if ls /usr/lib/llvm*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1; then \
	  $(CARGO) build --release --manifest-path benches/iceoryx2/Cargo.toml --target-dir target/iceoryx2 && \
	  cp -f target/iceoryx2/release/procbox-bench-iceoryx2 target/release/; \
	else echo "peers: no libclang: iceoryx2 is NOT measured"; fi
# Programs that exist already, and workers in C: what tests/languages/install installs, and the tests of it.
languages: build
	CARGO="$(CARGO)" tests/languages/install
	tests/languages/components
	$(WHOLE) --test languages --test images -- --ignored

build: programs
	$(CARGO) build --release

# Every program, the samples and those of the tests, natively and for the sandbox, as
# target/programs/NAME and NAME.wasm.
programs: setup
	$(CARGO) build --release -p procbox-programs -p procbox-cases
	$(CARGO) build --release -p procbox-programs -p procbox-cases --target $(WASM)
	$(CARGO) build --release -p procbox-recipes --no-default-features --target $(WASM)
	$(CARGO) build --release -p procbox-component --target $(COMPONENT)
	@mkdir -p target/programs
	@for p in $(PROGRAMS); do \
	  cp -f target/release/$$p target/programs/$$p && \
	  cp -f target/$(WASM)/release/$$p.wasm target/programs/$$p.wasm || exit 1; \
	done
	@cp -f target/$(COMPONENT)/release/procbox_component.wasm target/programs/component.wasm
	@cp -f target/$(COMPONENT)/release/command.wasm target/programs/command.wasm

# rust-toolchain.toml names the target and the components; this makes sure of them.
setup:
	@for t in $(WASM) $(COMPONENT); do \
	  rustup target list --installed | grep -qx $$t || rustup target add $$t || exit 1; \
	done
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt

# What CI asks for besides the tests: from here to `fuzz`.
lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release -p procbox-guest -p procbox-programs -p procbox-cases --target $(WASM) -- -D warnings
	$(CARGO) clippy --release -p procbox-recipes --no-default-features --target $(WASM) -- -D warnings
	$(CARGO) clippy --release -p procbox-component --target $(COMPONENT) -- -D warnings

# The library with each backend alone, and that no peer is linked into the command.
features: setup
	@for feature in native sandbox; do \
	  echo "== procbox with $$feature alone"; \
	  $(CARGO) test --release -p procbox --no-default-features --features $$feature || exit 1; \
	done
	@linked=$$($(CARGO) tree -p procbox-cli -e normal --prefix none) || exit 1; \
	if echo "$$linked" | grep -E '^(procspawn|ipc-channel|iceoryx2|criterion) '; then \
	  echo "these are linked into the command"; exit 1; \
	fi

# The pages of all crates, without a warning; and the first page of each library is short enough to read.
docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --no-deps --workspace
	@for crate in $(LIBRARIES); do \
	  names=$$(grep -o '<dt><a class=' target/doc/$$crate/index.html | wc -l); \
	  echo "$$crate: $$names names on its first page"; \
	  test $$names -gt 0 -a $$names -le $(MOST_NAMES) || { echo "$$crate: at most $(MOST_NAMES)"; exit 1; }; \
	done

# Each published crate as it would be uploaded; nothing is.
package:
	$(CARGO) package --no-verify --allow-dirty --quiet -p procbox -p procbox-cli $(PUBLISHED:%=-p procbox-%)

# Licences, sources and duplicates of dependencies; known flaws of them too, where the database of
# these can be had. cargo-deny is installed, which takes minutes, if it is missing.
deny:
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --locked
	$(CARGO) deny --locked --workspace check licenses bans sources
	@if $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny --locked --workspace check advisories; \
	else echo "deny: the advisory database cannot be had here: advisories were NOT checked"; fi

# The native backend, and what programs link, for AArch64; the sandbox too if there is a C compiler
# for that, which a dependency of wasmtime needs.
arm: setup
	@rustup target list --installed | grep -qx $(ARM) || rustup target add $(ARM)
	$(CARGO) check --release --target $(ARM) -p procbox --no-default-features --features native
	$(CARGO) check --release --target $(ARM) -p procbox-guest
	@if command -v aarch64-linux-gnu-gcc >/dev/null; then \
	  $(CARGO) check --release --target $(ARM) -p procbox -p procbox-cli; \
	else echo "arm: no aarch64-linux-gnu-gcc: the sandbox was NOT checked for $(ARM)"; fi

# All fuzzers compile; and a while of these, if there is a nightly toolchain and cargo-fuzz.
fuzz:
	@if $(CARGO) fetch --manifest-path fuzz/Cargo.toml >/dev/null 2>&1; then \
	  $(CARGO) check --release --manifest-path fuzz/Cargo.toml || exit 1; \
	else echo "fuzz: what the fuzzers need cannot be had here: NOT checked"; fi
	@if $(CARGO) +nightly fuzz --version >/dev/null 2>&1; then \
	  for target in $(FUZZ_TARGETS); do \
	    $(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_TIME) || exit 1; \
	  done; \
	else echo "fuzz: no nightly toolchain or no cargo-fuzz: NOT run"; fi

clean:
	$(CARGO) clean
