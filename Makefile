# SPDX-License-Identifier: MIT

# The version for `build`, `venv` and `bench`, and the versions that `test` runs.
PY ?= 3.14
MATRIX ?= 3.11 3.12 3.13 3.14 3.15
# On these all real packages are tested; on the others a few, if there are wheels.
PACKAGES_ON ?= 3.11 3.13 3.14
# How many of the targets of `test` run at a time.
JOBS ?= $(shell nproc)
# Whether a compiler's warning is an error. pip shows only errors.
WERROR ?= true

MAKEFLAGS += --no-print-directory --no-builtin-rules
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests import the same modules in thousands of interpreters: with this each of them compiles them again.
unexport PYTHONDONTWRITEBYTECODE
# Run installed code: a Python started here must not import ./subinterpreters.
SAFE := PYTHONSAFEPATH=1

SOURCES := meson.build meson_options.txt $(shell find core binding subinterpreters compat \
    -type f ! -name '*.pyc' ! -name '*.swp' 2>/dev/null)
C_FILES = $(shell find core binding tests bench examples -name '*.[ch]' 2>/dev/null)
PY_DIRS = $(wildcard subinterpreters compat tests bench examples tools/requirements)

.PHONY: help build venv demo test test-core fuzz libfuzzer test-libfuzzer refleaks tsan asan asan-python bench \
    bench-compare bench-publish fmt lint clean distclean toolchain
.NOTPARALLEL:
.SECONDARY:
.DELETE_ON_ERROR:

help:
	@echo 'make build          build the core, its C tests and, for PY, the package'
	@echo 'make demo           run the port scanner on the newest CPython that is here'
	@echo 'make test           run everything: test-core, tsan, asan, asan-python and test-X for each X in MATRIX'
	@echo 'make test-3.14      run the Python tests on one version'
	@echo 'make test-core      run the C tests'
	@echo 'make fuzz           damage messages and receive them, on PY, for a minute'
	@echo 'make libfuzzer      run the programs for libFuzzer, on PY, for a minute each'
	@echo 'make refleaks       repeat each operation on a CPython that counts references'
	@echo 'make tsan           run the C tests under ThreadSanitizer'
	@echo 'make asan           run the C tests under AddressSanitizer and UBSan'
	@echo 'make asan-python    run Python tests under these, on PY'
	@echo 'make bench          run the benchmarks on PY; ARGS="startup messages" for some of them'
	@echo 'make bench-compare  run them, and compare with the stored baseline'
	@echo 'make bench-publish  put what was measured last into README.md and docs/'
	@echo 'make fmt            format the C and Python sources'
	@echo 'make lint           check formatting, style and types'
	@echo 'make venv PY=3.14   make .venv/3.14 with the package and what its tests need'
	@echo 'make clean          remove build/ and .venv/ (distclean: .pythons/ too)'
	@echo
	@echo 'PY=$(PY)  MATRIX="$(MATRIX)"'

toolchain:
	@tools/toolchain

# The package, in one virtual environment for each version. Stamps: what it is built with and tested
# with; the package; what the demo and the benchmarks need. And real packages for tests: they are compiled
# when they are imported, which takes less time than compiling all of them.

pip = .venv/$*/bin/python -m pip -qq
has_packages = $(filter $(*:-asan=),$(PACKAGES_ON))
packages_group = $(if $(has_packages),packages,few-packages)
packages_else = $(if $(has_packages),,|| echo "$*: some packages have no wheels")

.venv/%/.base: pyproject.toml tools/python tools/requirements
	@.venv/$*/bin/python -m pip --version >/dev/null 2>&1 || \
	    { python=$$(tools/python $(*:-asan=)) && echo "venv $* ($$python)" && \
	      $$python -m venv --clear .venv/$*; }
	@$(pip) install --upgrade pip
	@.venv/$*/bin/python tools/requirements build test >.venv/$*/requirements.txt
	@$(pip) install -r .venv/$*/requirements.txt
	@touch $@

.venv/%/.package: .venv/%/.base $(SOURCES) | toolchain
	@echo "build $*"
	@PATH="$(CURDIR)/.venv/$*/bin:$$PATH" $(pip) install --no-build-isolation --no-deps \
	    --config-settings=build-dir=build/py-$* \
	    --config-settings=setup-args=-Dwerror=$(WERROR) $(sanitized) .
	@touch $@

# .venv/3.14-asan is like .venv/3.14, but the core and the binding are under the sanitizers.
.venv/%-asan/.package: sanitized = --config-settings=setup-args=-Db_sanitize=address,undefined \
    --config-settings=setup-args=-Db_lundef=false

define install_wheels
	@.venv/$*/bin/python tools/requirements $(1) >.venv/$*/requirements.txt
	@$(pip) install --only-binary :all: -r .venv/$*/requirements.txt
	@touch $@
endef

.venv/%/.demo: .venv/%/.package
	$(call install_wheels,demo)

.venv/%/.bench: .venv/%/.package
	$(call install_wheels,bench)

.venv/%/.types: .venv/%/.base
	$(call install_wheels,types)

.venv/%/.packages: .venv/%/.base
	@.venv/$*/bin/python tools/requirements $(packages_group) >.venv/$*/requirements.txt
	@$(pip) install --no-compile --only-binary :all: -r .venv/$*/requirements.txt $(packages_else)
	@touch $@

venv: .venv/$(PY)/.package

build: build/core/build.ninja venv
	@$(meson) compile -C build/core

demo:
	@python=$$(tools/python --newest) && \
	version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
	$(MAKE) .venv/$$version/.demo && \
	.venv/$$version/bin/python examples/portscanner/demo.py $(ARGS)

bench: .venv/$(PY)/.bench
	@.venv/$(PY)/bin/python bench/run.py $(ARGS)

# ARGS=build/bench/results.json compares what is there; ARGS='--store A.json B.json' makes these the baseline.
bench-compare: .venv/$(PY)/.bench
	@.venv/$(PY)/bin/python bench/compare.py $(ARGS)

bench-publish: .venv/$(PY)/.bench
	@.venv/$(PY)/bin/python bench/publish.py $(ARGS)

# Tests. ARGS reaches pytest: make test-3.14 ARGS='-k channel'

# What they print comes when they end.
test: toolchain
	@$(MAKE) .venv/tools/.build
	@mkdir -p build/test && rm -f build/test/failed
	@printf '%s\n' $(MATRIX:%=test-%) asan-python tsan asan test-core $(if $(clang_here),test-libfuzzer) | \
	    xargs -P $(JOBS) -I{} tools/run-apart build/test {} $(MAKE) {}
	@if [ -e build/test/failed ]; then echo "failed: $$(tr '\n' ' ' <build/test/failed)" >&2; exit 1; fi

test-core: build/core/build.ninja
	@$(meson) test -C build/core --print-errorlogs $(ARGS)

# With the debug hooks of the allocator. ARGS='--seconds 600 --seed 1'
fuzz: .venv/$(PY)/.package
	@$(SAFE) PYTHONMALLOC=debug .venv/$(PY)/bin/python tests/python/fuzz_codec.py $(ARGS)

# On Debian's debug build of CPython, where the lives of interpreters take minutes.
refleaks: .venv/3.14d/.package
	@$(SAFE) SUBI_TEST_LONG=1 .venv/3.14d/bin/pytest tests/python/test_repeats.py -q --timeout 1200 $(ARGS)

# What clang has compiled: the core, and the package for the PY. Each finds new inputs from those that it has
# found before, in build/fuzz-X/corpus. FUZZERS=decode ARGS='-max_total_time=600'
FUZZERS ?= decode channels elf
FUZZ_SOURCES = $(wildcard tests/fuzz/*) tests/core/tap.h tests/core/peek.h tests/core/loader/elf_try.h
clang_here = $(shell tools/toolchain --clang-here)

build/fuzz-%/.installed: .venv/%/.base $(SOURCES) $(FUZZ_SOURCES)
	@clang=$$(tools/toolchain --clang) && mkdir -p build && \
	export CC=$$clang PATH="$(CURDIR)/.venv/$*/bin:$$PATH" && \
	{ [ -e build/fuzz-$*/build.ninja ] || meson setup -Dfuzzers=true -Dtests=false --warnlevel=0 \
	    --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false \
	    --prefix='$(CURDIR)/build/fuzz-$*/installed' \
	    -Dpython.purelibdir=python -Dpython.platlibdir=python build/fuzz-$*; } >build/fuzz-$*.log && \
	meson install -C build/fuzz-$* >>build/fuzz-$*.log || { cat build/fuzz-$*.log; exit 1; }
	@touch $@

test-libfuzzer: ARGS := -max_total_time=5
libfuzzer test-libfuzzer: build/fuzz-$(PY)/.installed
	@for name in $(FUZZERS); do \
	    $(SAFE) tests/fuzz/run '$(CURDIR)/build/fuzz-$(PY)' .venv/$(PY)/bin/python \
	        "$$(tools/toolchain --clang)" $$name $(or $(ARGS),-max_total_time=60) || exit 1; \
	done

tsan asan: %: build/%/build.ninja
	@$(meson) test -C build/$* --print-errorlogs $(ARGS)

# A package that is missing where all are tested is an error.
test-%: .venv/%/.package .venv/%/.packages
	@$(SAFE) SUBI_TEST_PACKAGES=$(if $(has_packages),all) .venv/$*/bin/pytest tests/python -q $(ARGS)

# Without ARGS: the files in which C code deals with most memory; all: ARGS=tests/python. A report ends the
# process, so pytest must not have captured it. A SIGSEGV is left to faulthandler. AddressSanitizer looks for
# the __cxa_throw that it replaces when it starts, but Python itself needs no libstdc++.
asan_files = $(patsubst %,tests/python/test_%.py,\
    buffer channel codec descriptors fuzz queue shared_buffer)
asan_environment = $(SAFE) PYTHONMALLOC=malloc SUBINTERPRETERS_LIBC_DLOPEN=1 \
    LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so.6)" \
    ASAN_OPTIONS=exitcode=99:detect_leaks=0:verify_asan_link_order=0:allocator_may_return_null=1:$\
    detect_stack_use_after_return=1:handle_segv=0 \
    UBSAN_OPTIONS=exitcode=99:halt_on_error=1:print_stacktrace=1

asan-python: .venv/$(PY)-asan/.package $(if $(ARGS),.venv/$(PY)-asan/.packages)
	@$(asan_environment) SUBI_TEST_PACKAGES=$(if $(filter $(PY),$(PACKAGES_ON)),all) \
	    .venv/$(PY)-asan/bin/pytest -q --capture=sys --timeout=480 $(or $(ARGS),$(asan_files))

# The core without Python, plain and under the sanitizers.

meson = .venv/tools/bin/meson
core_options = -Dpython=false --buildtype=debugoptimized -Dwerror=$(WERROR)
build/tsan/build.ninja: core_options += -Db_sanitize=thread -Db_lundef=false
build/asan/build.ninja: core_options += -Db_sanitize=address,undefined -Db_lundef=false

build/%/build.ninja: | .venv/tools/.build toolchain
	@rm -rf build/$* && mkdir -p build
	@PATH="$(CURDIR)/.venv/tools/bin:$$PATH" $(meson) setup $(core_options) build/$* >build/$*.log || \
	    { cat build/$*.log; exit 1; }

# Developers' tools, in a virtual environment of their own.

.venv/tools/.build: pyproject.toml tools/requirements
	@.venv/tools/bin/python -m pip --version >/dev/null 2>&1 || \
	    { python=$$(tools/python --newest) && $$python -m venv --clear .venv/tools; }
	@.venv/tools/bin/python tools/requirements build >.venv/tools/requirements.txt
	@.venv/tools/bin/python -m pip -qq install -r .venv/tools/requirements.txt
	@touch $@

.venv/tools/.lint: .venv/tools/.build
	@.venv/tools/bin/python tools/requirements lint >.venv/tools/requirements.txt
	@.venv/tools/bin/python -m pip -qq install -r .venv/tools/requirements.txt
	@touch $@

fmt: .venv/tools/.lint
	@.venv/tools/bin/clang-format -i $(C_FILES)
	@.venv/tools/bin/ruff format $(PY_DIRS)
	@.venv/tools/bin/ruff check --fix-only --quiet $(PY_DIRS)

lint: .venv/tools/.lint .venv/$(PY)/.package .venv/$(PY)/.types
	@.venv/tools/bin/clang-format --dry-run -Werror $(C_FILES)
	@.venv/tools/bin/ruff format --check $(PY_DIRS)
	@.venv/tools/bin/ruff check $(PY_DIRS)
	@.venv/$(PY)/bin/mypy subinterpreters
	@.venv/$(PY)/bin/basedpyright --pythonpath .venv/$(PY)/bin/python
	@tests/typing/check .venv/$(PY)/bin

clean:
	rm -rf build .venv

distclean: clean
	rm -rf .pythons
