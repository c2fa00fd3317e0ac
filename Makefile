# make demo and make test need nothing but Debian or Ubuntu: what is missing is installed first, and said.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

python := .venv/bin/python
firmware := fw_builds/reference
JOBS ?= 2

# Hundreds of short Python processes start here. Without bytecode files each compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:

.PHONY: help
help:
	@echo 'make demo      the main job: flash the reference firmware in QEMU, play the sensor, verify signed results,'
	@echo '               attestation, parity and latency (on JOBS=2 emulated boards side by side)'
	@echo 'make quick     the quick selection of all suites on QEMU'
	@echo 'make test      everything CI runs: lint, types, firmware, tests, mutants; prints what took longest'
	@echo 'make suites    all suites on QEMU'
	@echo 'make skips     every instruction of the functions that decide left out once (minutes)'
	@echo 'make mutants   build every faulty firmware, run on each the suite that must catch it'
	@echo '               (make mutants-quick: two for each suite)'
	@echo 'make mutants-matrix   the same with all suites on each, and the matrix'
	@echo 'make mutation-score   small changes of the firmware (a seeded sample, SAMPLE=400): how many are noticed'
	@echo 'make mutation-score-harness   the same on verify, latency and the comparison of parity'
	@echo 'make nightly-check   make test, the long tests, all mutants, the matrix and both mutation scores (hours)'
	@echo 'make lint      ruff, mypy, import-linter, clang-format'
	@echo 'make unit      the tests of the harness itself (make unit-nightly: those that take long and only go wider)'
	@echo 'make unit-user as root: those that depend on rights (ports, locks, files) once more as a user without any'
	@echo 'make firmware  the reference firmware'
	@echo 'make bench     the benchmarks'
	@echo 'make docs      the documentation as a site, build/docs/site; warnings are errors'
	@echo 'make pictures  the pictures of docs/report.md, made anew from a run on QEMU'
	@echo 'make wheel     the installable package, with a bill of its own materials (CycloneDX)'
	@echo 'make lock      renew .ci/constraints-*.txt: exact versions and hashes (LOCKED=1 make demo installs those)'
	@echo 'make lock-check   tell which of them have a newer version; exit status 1 when some have'
	@echo 'make fresh-check  as root: Debian 12 and 13 from nothing; demo and unit tests there as a normal user'
	@echo 'make clean     remove what was built'

.PHONY: demo quick
main_job := suites/sensor suites/results suites/attestation suites/parity suites/latency
reported = --count $(JOBS) --target qemu-an547 --build reference --fresh-identity --html-report runs/$@.html --evidence throwaway
demo: firmware
	.venv/bin/tfm-harness run --quick $(reported) $(main_job)
	@echo 'make quick runs a selection of every suite, make suites every test'
quick: firmware
	.venv/bin/tfm-harness run --quick $(reported)

# Tests wait for boards and ports a good part of their time: with two more of them at a time the CPUs are not idle then.
more_jobs = $(shell expr $(JOBS) + 2)

.PHONY: test
test: setup-test
	@$(python) .ci/stages.py firmware -- JOBS=$(more_jobs) unit -- JOBS=1 firmware-check lint -- JOBS=1 mutants-quick unit-user

.PHONY: nightly-check
nightly-check: setup-test
	@$(python) .ci/stages.py lint firmware firmware-check unit unit-user unit-nightly skips mutants mutants-matrix mutation-score mutation-score-harness

.PHONY: setup-demo setup-test
setup-demo:
	@.ci/setup.sh demo
setup-test:
	@.ci/setup.sh test

.PHONY: lint
lint: setup-test
	$(python) -m ruff check .
	$(python) -m mypy
	.venv/bin/lint-imports
	.venv/bin/clang-format --dry-run -Werror $$(git ls-files '$(firmware)/*.c' '$(firmware)/*.h')

.PHONY: firmware firmware-check
firmware: setup-demo
	$(MAKE) -C $(firmware) -j$(JOBS) PYTHON=$(abspath $(python))
firmware-check: setup-test firmware
	$(MAKE) -C $(firmware) check PYTHON=$(abspath $(python))

.PHONY: unit unit-user unit-nightly
pytest := $(python) -m pytest tests -q -p tests.side_by_side --side-by-side $(JOBS) -p no:rerunfailures \
	-p no:cacheprovider --durations=15
unit: setup-test firmware
	TFM_HARNESS_ARTIFACTS=$(or $(TFM_HARNESS_ARTIFACTS),$(CURDIR)/build/artifacts) $(pytest) -m 'not nightly'
	@ls build/artifacts/*.png 2>/dev/null | sed 's/^/artifact: /'

unit-user: setup-test
	@.ci/as_user.sh

unit-nightly: setup-test firmware
	TESTS_EXAMPLES=all $(pytest) -m 'nightly or examples'
	$(MAKE) -C $(firmware) check-nightly PYTHON=$(abspath $(python))
	$(MAKE) -C $(firmware)/host_tests/nn nightly PYTHON=$(abspath $(python))
	$(MAKE) -C $(firmware)/host_tests/driver nightly PYTHON=$(abspath $(python))

.PHONY: lock lock-check
lock: setup-test
	$(python) .ci/lock.py
lock-check: setup-test
	$(python) .ci/lock.py --check

.PHONY: suites skips
suites: firmware
	.venv/bin/tfm-harness run --count $(JOBS) --target qemu-an547 --build reference
skips: firmware
	.venv/bin/tfm-harness run --target qemu-an547 --build reference --skips all suites/skip

SAMPLE ?= 400
SEED ?= 1

.PHONY: mutants mutants-quick mutants-matrix mutation-score mutation-score-harness
mutants: setup-test
	$(python) $(firmware)/run_mutants.py --jobs $(JOBS)
mutants-quick: setup-test
	$(python) $(firmware)/run_mutants.py --jobs $(JOBS) --each-suite 2
mutants-matrix: setup-test
	$(python) $(firmware)/run_mutants.py --jobs $(JOBS) --matrix
mutation-score: setup-test
	$(python) $(firmware)/mutation_score.py --jobs $(JOBS) --sample $(SAMPLE) --seed $(SEED) --results build/mutation.jsonl
mutation-score-harness: setup-test
	$(python) -m benchmarks.mutation.score --jobs $(JOBS) --sample $(SAMPLE) --seed $(SEED) --results build/mutation-harness.jsonl

.PHONY: bench
bench: setup-test firmware
	$(python) -m benchmarks.run_all --results build/benchmarks

.PHONY: docs
docs: setup-test
	$(python) .ci/build_api.py
	$(python) .ci/build_docs.py

.PHONY: pictures
pictures: setup-test firmware
	$(python) .ci/pictures.py

.PHONY: fresh-check
fresh-check:
	@.ci/fresh_check.sh

.PHONY: wheel
wheel: setup-test firmware
	$(python) -m build --wheel

.PHONY: clean
clean:
	rm -rf build dist runs
	$(MAKE) -C $(firmware) clean
