# The kernels are up to 16 times slower without the CPU's vector instructions,
# and Go has no place for C flags in a module, so they are set here.
# A release for other machines: make ARCH=x86-64-v3
ARCH ?= native
export CGO_ENABLED = 1
export CGO_CFLAGS = -O3 -march=$(ARCH)
export CGO_CXXFLAGS = -O3 -march=$(ARCH)

PROMPT ?= func main() {

.PHONY: build ledger ledger-proto run test test-devnet race check fuzz bench oracle clients install release clean

build: ## bin/moeswarm
	@mkdir -p bin
	go build -o bin/moeswarm ./cmd/moeswarm

# The ledger is a module of its own: its dependencies are many times those of a
# node, which needs none of them.
ledger: ## bin/moeswarm-ledger
	@mkdir -p bin
	cd ledger && go build -o ../bin/moeswarm-ledger ./cmd/moeswarm-ledger

# The messages of x/neuro; needs protoc 3.21 (Debian's protobuf-compiler).
ledger-proto: ## generate ledger/x/neuro/types/tx.pb.go
	cd ledger && sh x/neuro/proto/generate.sh

run: build ## complete a prompt on a local swarm of real processes
	./bin/moeswarm run "$(PROMPT)"

# One package at a time: several start whole swarms, which would compete for
# the same processors.
test: check ## what CI runs, but for test-devnet
	go test -p 1 -timeout 20m ./...
	cd ledger && go test -p 1 -timeout 20m ./...

# Four validators and up to ten nodes on a ledger, killed and started again: it
# takes minutes, most of which blocks take.
test-devnet: ledger ## a swarm on a development ledger, all in real processes
	MOESWARM_LEDGER_BINARY=$(CURDIR)/bin/moeswarm-ledger go test ./cmd/moeswarm -run '^TestDevnet' -count 1 -timeout 30m

race: ## the tests under the race detector
	go test -race -timeout 60m ./...
	cd ledger && go test -race -timeout 60m ./...

check: ## format, vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	cd ledger && go vet ./...

FUZZTIME ?= 20s
fuzz: ## each fuzz target for FUZZTIME
	@for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

oracle: ## ask llama.cpp again what the tests compare with (needs node and npm)
	cd internal/oracle && npm install --ignore-scripts
	go test ./internal/oracle ./internal/tokenizer -run TestRenew -renew -timeout 30m

clients: ## OpenAI's own JavaScript client at a swarm (needs node and npm)
	cd internal/httpapi/clients && npm install --ignore-scripts
	go test ./cmd/moeswarm -run TestNPMClient -count 1 -v

bench: build ## the scenarios, on the demo model
	./bin/moeswarm bench local
	./bin/moeswarm bench loopback

install: ## into GOBIN
	go install ./cmd/moeswarm

release: ## archives for linux/amd64 and linux/arm64 in dist/
	packaging/release.sh

clean:
	rm -rf bin dist
