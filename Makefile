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

# Every module of the repository, and those of them that have code of ours.
MODULES := . $(patsubst %/go.mod,%,$(wildcard cmd/*/go.mod hack/*/go.mod))
CODE := $(filter-out hack/tools,$(MODULES))

# How the tests of a module run. The lab starts processes and keeps real time, so it runs without the race detector; so do the
# programs of Kubernetes, which would have to be built a second time for it.
HOW = -race -timeout 10m
HOW-hack/lab = -timeout 40m
HOW-hack/kubernetes = -timeout 20m

# What go.mod would say with the modules of other versions: of Talos for the root module, of Kubernetes for its programs.
# MODULE is the folder of the module that a modfile is of.
MODFILES := $(wildcard hack/compat/*.mod hack/kubernetes/[0-9]*.mod)
MODULE = $(if $(filter hack/kubernetes/%,$(1)),hack/kubernetes,.)

# The version of Kubernetes that labs run, for example K8S=1.34; none for that of hack/kubernetes/go.mod, with which all
# tests run. With another one the main scenarios do. Each takes minutes to build the first time.
K8S ?=
export K8S
MAIN := VersionIsTheOneAskedFor GracefulRebootLeavesAFailedPod FailedPodIsReplacedWhileTheDaemonSetControllerBacksOff \
	HardRebootLeavesReboundNothingToDo KubeletRejectsPodsUntilTheDeviceIsUsable RejectedPodIsRetriedWithGrowingDelays \
	PodThatIsAlwaysRejectedIsHandedBack NodeMayDeleteItsOwnPodsOnly NodeMayReportOnItselfButNotTaint \
	ContainersOutliveTheKubelet RebootGoesOnWhenABudgetIsFreedInTheMiddle
SPACE := $() $()

# Extra flags for every go test, for example TESTFLAGS='-count=1 -v'.
TESTFLAGS ?=

# How often the demo reboots its nodes.
REBOOTS ?= 6

# How many nodes the lab has that stays up: with rebound in machined, with its agent, without.
WORKERS ?= 2
AGENTS ?= 0
STOCK ?= 0

.PHONY: help
help: ## Print this table
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-12s  %s\n", $$1, $$2 }' Makefile

# The programs of a lab, side by side.
.PHONY: lab-bin
lab-bin:
	hack/kubernetes/build.sh '$(K8S)' build/lab-bin/kubernetes
	cd hack/lab && go build -o ../../build/lab-bin/lab .
	go build -o build/lab-bin/rebound ./cmd/rebound
	cd cmd/rebound-coordinator && go build -o ../../build/lab-bin/rebound-coordinator .

.PHONY: demo
demo: lab-bin ## Reboot three nodes side by side: rebound in machined, as agent, none (REBOOTS=6); writes build/lab
	build/lab-bin/lab demo --reboots '$(REBOOTS)' --out build/lab

# A checkout of kubereboot/kured to run the same with, for example KURED=../kured; none for no comparison.
KURED ?=

.PHONY: demo-reboots
demo-reboots: lab-bin ## Four nodes ask for a reboot, and one is blocked (KURED= a checkout to compare with); writes build/lab
	build/lab-bin/lab demo-reboots --kured '$(KURED)' --out build/lab

# A regular expression for the names of the rows to play of the fault matrix, or of the table of mutants, for example
# ONLY='^gate/'; none for all of them.
ONLY ?=

# How often to play the fault matrix, to see that it has the same outcome each time.
TIMES ?= 1

.PHONY: faults
faults: lab-bin ## Play the fault matrix (ONLY= for some rows, TIMES=1); writes build/lab
	build/lab-bin/lab faults --only '$(ONLY)' --times '$(TIMES)' --out build/lab

# How long a soak is, and what decides what happens in it: 0 for any.
TIME ?= 10m
SEED ?= 0

.PHONY: soak
soak: lab-bin ## Let everything go wrong for a long time, by a seed (TIME=10m SEED=); writes build/lab
	build/lab-bin/lab soak --time '$(TIME)' --seed '$(or $(SEED),0)' --out build/lab

# The largest number of nodes that come back at once.
NODES ?= 1000

.PHONY: scale
scale: lab-bin ## Bring many nodes back at once, and measure what rebound costs (NODES=1000); writes build/lab
	build/lab-bin/lab scale --nodes '$(NODES)' --out build/lab

.PHONY: up
up: lab-bin ## Start a lab that stays up, for talosctl, kubectl and rebound (WORKERS=2 AGENTS=0 STOCK=0)
	build/lab-bin/lab up --workers '$(WORKERS)' --agents '$(AGENTS)' --stock '$(STOCK)' --out build/lab/up

.PHONY: record
record: lab-bin ## Record again what a real DaemonSet controller and kubelet do; writes internal/recovery/testdata/history
	build/lab-bin/lab record

# All of them run even if one fails: one red module must not hide the others.
.PHONY: test
ifneq ($(K8S),)
test: ## Run every test of every module; with K8S=1.34 or 1.35 the main scenarios with that Kubernetes
	@version=$$(hack/kubernetes/build.sh '$(K8S)' 'build/lab-bin/kubernetes-$(K8S)'); \
	echo "==> main scenarios with Kubernetes $$version"; \
	cd hack/lab && go test $(HOW-hack/lab) $(TESTFLAGS) -run '^Test($(subst $(SPACE),|,$(strip $(MAIN))))$$' ./lab
else
test:
	@failed=; \
	$(foreach module,$(CODE),\
		echo '==> tests of $(module)'; \
		(cd '$(module)' && go test $(or $(HOW-$(module)),$(HOW)) $(TESTFLAGS) ./...) || failed+=' $(module)';) \
	if [[ -n $$failed ]]; then echo "==> FAILED:$$failed"; exit 1; fi
endif

.PHONY: lint
lint: ## Run the linters, and check that go.mod files are tidy and generated files are current
	@for module in $(CODE); do \
		echo "==> golangci-lint of $$module"; \
		(cd "$$module" && $(TOOL) golangci-lint run ./...); \
	done
	@for module in $(MODULES); do \
		echo "==> go mod tidy -diff in $$module"; \
		(cd "$$module" && go mod tidy -diff) || { echo "run go mod tidy in $$module and commit the result"; exit 1; }; \
	done
	@$(foreach modfile,$(MODFILES),\
		echo '==> go mod tidy -diff of $(modfile)'; \
		(cd '$(call MODULE,$(modfile))' && go mod tidy -modfile='$(CURDIR)/$(modfile)' -diff) || \
			{ echo 'run go mod tidy -modfile=$(CURDIR)/$(modfile) in $(call MODULE,$(modfile)) and commit the result'; exit 1; };)
	@echo '==> make generate changes nothing'
	@generated() { (git grep --untracked -lE -e '^// Code generated .* DO NOT EDIT\.$$' -e '^    controller-gen\.kubebuilder\.io/version: ' \
		-- '*.go' '*.yaml' || true) | sort | xargs -r sha256sum; }; \
	before=$$(generated); \
	$(MAKE) --no-print-directory generate; \
	diff <(echo "$$before") <(generated) || { \
		echo 'generated files were not current; make generate has just written them: review and commit them'; exit 1; }

.PHONY: generate
generate: ## Write the generated Go files and CRDs again
	@for module in $(CODE); do (cd "$$module" && go generate ./...); done

.PHONY: linked
linked: ## Write again what machined links of what we link (takes Talos from the module proxy)
	hack/compat/linked.sh

.PHONY: bench
bench: ## Run every benchmark: of the plans, and of whole recoveries in the lab, beside a plain list and delete
	go test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./internal/...
	cd hack/lab && go test -run '^$$' -bench . -benchtime 10x $(HOW-hack/lab) $(TESTFLAGS) ./internal/scale

.PHONY: mutants
mutants: ## Break one rule after the other in a copy, and see its test fail (ONLY='^gate/'); writes build/mutants.json
	cd hack/mutants && go build -o ../../build/mutants-bin/mutants .
	build/mutants-bin/mutants --only '$(ONLY)'

# What to release, where git cannot tell.
VERSION ?=

.PHONY: release
release: ## Write binaries, OCI images, manifests and checksums (VERSION= from git); writes build/release
	cd hack/release && go build -o ../../build/release-bin/release .
	build/release-bin/release --version '$(VERSION)' --out build/release

# The module proxy has the database of vuln.go.dev as the module that it is made of, which serves where vuln.go.dev is out of reach.
# The root module may not have other versions of its dependencies than Talos has, so what is found there may have to wait for Talos.
VULNDB ?= latest

.PHONY: vulncheck
vulncheck: ## Look up known vulnerabilities in golang.org/x/vulndb of the module proxy (VULNDB=latest); fails if there are any
	@database=$$(cd / && go mod download -json 'golang.org/x/vulndb@$(VULNDB)' | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p'); \
	if [[ ! -d $$database/data/osv ]]; then echo 'NOT RUN: golang.org/x/vulndb@$(VULNDB) could not be had from the module proxy' >&2; exit 1; fi; \
	echo "==> known vulnerabilities as of $${database##*@}"; \
	failed=; \
	for module in $(CODE); do \
		echo "==> govulncheck of $$module"; \
		(cd "$$module" && $(TOOL) govulncheck -db "file://$$database/data/osv" ./...) || failed+=" $$module"; \
	done; \
	if [[ -n $$failed ]]; then echo "==> VULNERABLE OR NOT RUN:$$failed" >&2; exit 1; fi
