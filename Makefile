# Everything a contributor or CI runs. `make` alone prints what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# The settings of the person who runs this must not decide what is built or tested.
export GOFLAGS := -mod=readonly -buildvcs=false
export GOWORK := off

# Tools come from a module of their own. The path is absolute because the lab is linted from its own folder.
TOOL := go tool -modfile='$(CURDIR)/hack/tools/go.mod'

MODULES := . hack/lab hack/tools

# What go.mod would say with the modules of other versions of Talos.
MODFILES := $(wildcard hack/compat/*.mod)

# Extra flags for every go test, for example TESTFLAGS='-count=1 -v'.
TESTFLAGS ?=

# How often the demo reboots its nodes.
REBOOTS ?= 6

# How many nodes with rebound, and how many without, the lab has that stays up.
WORKERS ?= 2
STOCK ?= 0

.PHONY: help
help: ## Print this table
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-10s  %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## Reboot two nodes side by side, with rebound and without (REBOOTS=6); writes build/lab
	cd hack/lab && go build -o ../../build/lab-bin/lab .
	build/lab-bin/lab demo --reboots '$(REBOOTS)' --out build/lab

.PHONY: up
up: ## Start a lab that stays up, for talosctl, kubectl and rebound (WORKERS=2 STOCK=0)
	cd hack/lab && go build -o ../../build/lab-bin/lab .
	go build -o build/lab-bin/rebound ./cmd/rebound
	build/lab-bin/lab up --workers '$(WORKERS)' --stock '$(STOCK)' --out build/lab/up

# The lab starts processes and keeps real time, so it runs without the race detector. It runs even if the root fails:
# one red module must not hide the other.
.PHONY: test
test: ## Run every test of every module
	@failed=; \
	echo '==> tests of the root module'; \
	go test -race -timeout 10m $(TESTFLAGS) ./... || failed+=' root'; \
	echo '==> tests of hack/lab'; \
	(cd hack/lab && go test -timeout 40m $(TESTFLAGS) ./...) || failed+=' hack/lab'; \
	if [[ -n $$failed ]]; then echo "==> FAILED:$$failed"; exit 1; fi

.PHONY: lint
lint: ## Run the linters, and check that go.mod files are tidy and generated files are current
	@echo '==> golangci-lint of the root module'
	@$(TOOL) golangci-lint run ./...
	@echo '==> golangci-lint of hack/lab'
	@cd hack/lab && $(TOOL) golangci-lint run ./...
	@for module in $(MODULES); do \
		echo "==> go mod tidy -diff in $$module"; \
		(cd "$$module" && go mod tidy -diff) || { echo "run go mod tidy in $$module and commit the result"; exit 1; }; \
	done
	@for modfile in $(MODFILES); do \
		echo "==> go mod tidy -diff of $$modfile"; \
		go mod tidy -modfile="$$modfile" -diff || { echo "run go mod tidy -modfile=$$modfile and commit the result"; exit 1; }; \
	done
	@echo '==> make generate changes nothing'
	@generated() { (git grep --untracked -lE '^// Code generated .* DO NOT EDIT\.$$' -- '*.go' || true) | sort | xargs -r sha256sum; }; \
	before=$$(generated); \
	$(MAKE) --no-print-directory generate; \
	diff <(echo "$$before") <(generated) || { \
		echo 'generated files were not current; make generate has just written them: review and commit them'; exit 1; }

.PHONY: generate
generate: ## Write the generated Go files again
	go generate ./...

.PHONY: bench
bench: ## Run every benchmark of the root module
	go test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...

.PHONY: vulncheck
vulncheck: ## Look up known vulnerabilities (needs vuln.go.dev)
	$(TOOL) govulncheck ./...
