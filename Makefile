# docent: targets are few and thin; `make help` lists them.
export CGO_ENABLED := 0

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
ADDR        ?= 127.0.0.1:8420
UI          := web/ui
UI_SOURCES  := $(shell find $(UI) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/test-results/*')
FUZZTIME    ?= 30s

.PHONY: help run build ui test test-go test-ui test-browser test-arm64 lint cross race bench fuzz crash simulation generate clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: build ## build everything and start the server
	./bin/docent serve --addr $(ADDR)

build: ui ## the one static binary, bin/docent
	$(GO) build -ldflags '-s -w' -o bin/docent ./cmd/docent

ui: $(UI)/dist/index.html ## the web page, built into the binary by `make build`

$(UI)/node_modules/.package-lock.json: $(UI)/package-lock.json
	cd $(UI) && npm ci --no-audit --no-fund

$(UI)/dist/index.html: $(UI)/node_modules/.package-lock.json $(UI_SOURCES)
	cd $(UI) && npm run build

test: test-go test-ui test-browser ## everything; gets Postgres, Weaviate and Chromium where it can (see scripts/)

# The first run on a machine builds Weaviate's server, which takes 4 to 10 minutes on 2 cores. The folder is
# open to the user that Postgres runs as.
test-go: ui
	@dir=$$(mktemp -d) && chmod 711 "$$dir" && \
	trap 'scripts/postgres.sh stop "$$dir/postgres"; scripts/weaviate.sh stop "$$dir/weaviate"; rm -rf "$$dir"' EXIT INT TERM && \
	{ DOCENT_TEST_POSTGRES=$$(scripts/postgres.sh start "$$dir/postgres") || echo "the tests that need Postgres are skipped"; } && \
	{ DOCENT_TEST_WEAVIATE=$$(scripts/weaviate.sh start "$$dir/weaviate") || echo "the tests that need Weaviate are skipped"; } && \
	export DOCENT_TEST_POSTGRES DOCENT_TEST_WEAVIATE && $(GO) test ./...

test-ui: ui
	cd $(UI) && npm test

test-browser: build
	@chromium=$$(scripts/chromium.sh) && cd $(UI) && \
		CHROMIUM=$$chromium DOCENT_BIN=$(CURDIR)/bin/docent npm run e2e

lint: $(UI)/node_modules/.package-lock.json ## gofmt, go vet, staticcheck, tsc, biome
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt -w these: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	cd $(UI) && npm run check

cross: ## the builds nobody here runs: no assembly, arm64, Windows, macOS
	$(GO) build -tags noasm ./...
	GOARCH=arm64 $(GO) build ./...
	GOOS=windows $(GO) build ./...
	GOOS=darwin GOARCH=arm64 $(GO) build ./...

test-arm64: ## the kernels, the encoder and language models for arm64, under qemu's user emulation, with and without dot products
	@command -v qemu-aarch64-static >/dev/null || { echo "skipped: needs qemu-aarch64-static (Debian's package qemu-user-static)"; exit 0; }; \
	export GOARCH=arm64; \
	$(GO) test -timeout 30m -exec qemu-aarch64-static -run 'Mul[FIBP]|QMatrix|QRows|Unpack|Quantise|Round|GELU|Softmax|AddNorm|Vectors|Halves|Alone|Gates|Fuzz|Choose|NoAlloc' ./internal/tensor && \
	for level in neon-dot neon; do \
		DOCENT_SIMD=$$level $(GO) test -count 1 -timeout 30m -exec qemu-aarch64-static -run 'TinyCheckpoints|CrossEncodersAgainst|Int8$$|BF16$$' ./embed && \
		DOCENT_SIMD=$$level $(GO) test -count 1 -timeout 30m -exec qemu-aarch64-static -run 'Golden|EncoderDecoder$$' ./internal/llm/engine || exit 1; \
	done

race: ## serving language models, in the engine and over HTTP, under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -run 'Pool|Segments|Together|Prefix|Queue|Stalled|Close|Cancel|Guesses|Score|Adapters|Constrain' ./internal/llm/engine
	CGO_ENABLED=1 $(GO) test -race ./internal/llm
	CGO_ENABLED=1 $(GO) test -race -run 'ManyOverHTTP|Disconnect|Busy|ChatCompletions' ./web

bench: ## Go benchmarks; the comparisons with peers are in bench/, a README in each
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz: ## every fuzz target for FUZZTIME (30s)
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "== $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg || exit 1; \
		done; done

crash: ## kill processes 100 times while they take in 500 files, one alone and three that share a Postgres
	@dir=$$(mktemp -d) && trap 'scripts/postgres.sh stop "$$dir"' EXIT INT TERM && \
	{ DOCENT_TEST_POSTGRES=$$(scripts/postgres.sh start "$$dir") || echo "the one that needs Postgres is skipped"; } && \
	export DOCENT_TEST_POSTGRES && DOCENT_TEST_KILLS=100 $(GO) test -run '^Test(Shared)?QueueKill$$' -count=1 -v -timeout 20m ./ingest

simulation: ## 10,000 random operations, crashes and kills against a plain model
	DOCENT_SIMULATION_STEPS=10000 $(GO) test -run '^TestSimulation$$' -count=1 -v -timeout 30m ./retriever

generate: ## rewrite generated files
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf bin $(UI)/node_modules
	find $(UI)/dist -mindepth 1 -not -name .gitkeep -delete
