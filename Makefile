# Everything a developer types. `make help` lists it.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= sallyport:$(VERSION)
ARGS    ?=

# The parser is C. Stamping by git is left out: it fails in checkouts that belong to somebody else.
export CGO_ENABLED = 1
export GOFLAGS    := $(GOFLAGS) -buildvcs=false

BUILD   = $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
TOOLS  := $(CURDIR)/.tools
INSTALL = sh internal/devenv/install.sh

GOLANGCI_VERSION = v2.12.2
OPA_VERSION      = $(shell $(GO) list -m -f '{{.Version}}' github.com/open-policy-agent/opa)
FUZZTIME        ?= 30s

.DEFAULT_GOAL := help
.PHONY: help demo dev build test short race fuzz lint policies bench image tools clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: tools build ## watch an agent's whole life at a production database, in under two minutes
	$(GO) run ./cmd/demo --sallyport bin/sallyport $(ARGS)

dev: tools build ## run a database, an issuer, policies and the sidecar to play with (ARGS="--seed file.sql")
	bin/sallyport dev $(ARGS)

build: ## build bin/sallyport; the first time takes minutes, for PostgreSQL's parser
	$(BUILD) -o bin/sallyport ./cmd/sallyport

test: tools ## run every test against real PostgreSQL; installs what is missing
	$(GO) vet ./...
	$(GO) test -timeout 18m ./...

short: ## run the tests that need neither a server nor patience
	$(GO) test -short -timeout 5m ./...

race: tools ## run every test with the race detector
	$(GO) test -race -timeout 40m ./...

fuzz: ## run each fuzz target for FUZZTIME
	@grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . >/dev/null || { echo 'no fuzz targets'; exit 0; }; \
	grep -rlE --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/p' "$$file"); do \
			echo "== $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

lint: ## run golangci-lint, or go vet and gofmt where it cannot be had
	@if lint=$$(command -v golangci-lint || ls $(TOOLS)/golangci-lint 2>/dev/null) || \
	   { GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION) && lint=$(TOOLS)/golangci-lint; }; then \
		echo "$$lint run"; "$$lint" run ./...; \
	else \
		echo 'golangci-lint cannot be had here: go vet and gofmt only'; \
		$(GO) vet ./... && test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)"; \
	fi

policies: build ## check, format and test the shipped policies with a plain opa
	@test -x $(TOOLS)/opa-$(OPA_VERSION) || { GOBIN=$(TOOLS) $(GO) install github.com/open-policy-agent/opa@$(OPA_VERSION) && mv $(TOOLS)/opa $(TOOLS)/opa-$(OPA_VERSION); }
	$(TOOLS)/opa-$(OPA_VERSION) fmt --list --fail policies
	$(TOOLS)/opa-$(OPA_VERSION) check --strict --schema rego/schemas policies
	$(TOOLS)/opa-$(OPA_VERSION) test policies

bench: build ## measure against a direct connection and PgBouncer
	$(INSTALL) postgres pgbouncer
	$(GO) run ./cmd/bench --sallyport bin/sallyport $(ARGS)

image: ## build the container image
	docker build --build-arg VERSION=$(VERSION) --tag $(IMAGE) .

tools: ## install what tests and the demo need and the machine has not
	$(INSTALL) postgres psycopg

clean: ## remove what was built
	rm -rf bin .tools
