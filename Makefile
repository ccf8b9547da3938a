# A thin front of CMake: `make` builds, `make test` checks. CONTRIBUTING.md says more.
.PHONY: all run test test-all lint bench bench-vs fuzz install clean
all:
	@test -f build/build.ninja || cmake --preset release
	@cmake --build build
run: all
	@build/kwaai run smollm2
test: all
	@scripts/ctest build
test-all: all
	@scripts/test-all
lint:
	@tools/lint/lint
bench: all
	@cmake --build build --target bench-ops
	@build/bench/bench-ops
	@build/kwaai bench smollm2
bench-vs: all
	@cmake --build build --target bench-ops
	@bench/vs $(if $(QUICK),--quick) $(if $(ROWS),--rows "$(ROWS)")
fuzz:
	@scripts/fuzz
install: all
	@cmake --install build
clean:
	@rm -rf build build-*
