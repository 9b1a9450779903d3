# The front door: each target installs with apt what is missing (scripts/ensure-deps), builds with CMake below build/, and runs.
# The build itself is described in CMakeLists.txt and CMakePresets.json.
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
werror = $(if $(filter true,$(CI)),ON,OFF)
configure = cmake --preset $(1) -DETCD3_WERROR=$(werror) $(2) >build/$(1).log 2>&1 || { cat build/$(1).log; exit 1; }

.PHONY: help all demo test bench fuzz soak coverage lint format install clean

help:
	@echo "make demo      build the library and show it at work on a private etcd"
	@echo "make test      all tests: gcc, clang, sanitizers, valgrind, each available etcd"
	@echo "make all       build only (build/release)"
	@echo "make bench     measure, beside h2load and protobuf-c"
	@echo "make fuzz      each fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS)) seconds"
	@echo "make soak      the long forms of tests: a million events, a million schedules, an hour perhaps"
	@echo "make coverage  which lines the tests run"
	@echo "make lint      clang-tidy and clang-format, without changing anything"
	@echo "make format    clang-format in place"
	@echo "make install   headers, libraries, pkg-config and CMake package, man pages below PREFIX ($(PREFIX)); DESTDIR is honoured"
	@echo "make clean     remove build/"

build:
	@mkdir -p build

all: | build
	@scripts/ensure-deps build
	@$(call configure,release,-DETCD3_TESTS=OFF -DETCD3_BENCH=OFF)
	@cmake --build --preset release

demo: | build
	@scripts/ensure-deps demo
	@echo "Building the library and its demo..."
	@$(call configure,release,-DETCD3_TESTS=OFF -DETCD3_BENCH=OFF)
	@cmake --build --preset release --target example_demo
	@scripts/with-etcd build/release/examples/example_demo

test: | build
	@scripts/ensure-deps test
	@scripts/build-etcd
	@scripts/build-interop
	@scripts/run-tests

bench: | build
	@scripts/ensure-deps bench
	@$(call configure,release,-DETCD3_TESTS=ON -DETCD3_BENCH=ON)
	@cmake --build --preset release --target canned_server bare_socket bench_client bench_stm bench_codec bench_failover bench_watch process etcd3ctl
	@bench/run
	@bench/ctl
	@scripts/build-benchmark || true
	@bench/load

fuzz: | build
	@scripts/ensure-deps fuzz
	@$(call configure,fuzz)
	@cmake --build --preset fuzz --target fuzz_targets
	@scripts/run-fuzz build/fuzz $(FUZZ_SECONDS)

soak: | build
	@scripts/ensure-deps test
	@scripts/build-etcd
	@$(call configure,release,-DETCD3_TESTS=ON)
	@cmake --build --preset release
	@scripts/run-soak

coverage: | build
	@scripts/ensure-deps coverage
	@scripts/run-coverage

lint: | build
	@scripts/ensure-deps lint
	@$(call configure,clang)
	@scripts/lint build/clang

format: | build
	@scripts/ensure-deps lint
	@git ls-files '*.c' '*.h' | xargs clang-format -i

# Under sudo the build stays the user's.
install:
	@scripts/ensure-deps install
	@$(if $(SUDO_USER),sudo -u $(SUDO_USER)) $(MAKE) --no-print-directory all
	@DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build
