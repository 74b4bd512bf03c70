package retriever

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"docent/chunker"
	"docent/internal/catalog"
)

// A Mode is a way of finding passages.
type Mode string

const (
	Dense   Mode = "dense"   // by meaning: the cosine of the encoder's vectors
	Keyword Mode = "keyword" // by words: BM25
	Hybrid  Mode = "hybrid"  // by both
)

// ParseMode returns the mode of that name, Hybrid for an empty one, or ErrInvalidName.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(strings.ToLower(name)); m {
	case Dense, Keyword, Hybrid:
		return m, nil
	case "":
		return Hybrid, nil
	}
	return "", fmt.Errorf("search mode %q: %w: it is not dense, keyword or hybrid", name, ErrInvalidName)
}

// A Hit is a passage that was found.
type Hit struct {
	ChunkID      int64         `json:"chunk_id"`
	Score        float64       `json:"score"`         // by which hits are ordered; comparable within one search
	DenseScore   float64       `json:"dense_score"`   // cosine, -1 to 1; 0 when meaning was not searched
	KeywordScore float64       `json:"keyword_score"` // BM25, 0 and up; 0 when words were not searched
	DenseRank    int           `json:"dense_rank"`    // from 1; 0 when that search did not find it
	KeywordRank  int           `json:"keyword_rank"`  // from 1; 0 when that search did not find it
	Chunk        chunker.Chunk `json:"chunk"`
	Document     Document      `json:"document"`
}

type searchConfig struct {
	mode        Mode
	fusion      Fusion
	k           int
	minScore    float64
	perDocument int
	neighbours  int
	filter      Filter
	hops        int
	denseShare  float64
	questions   QuestionsFunc
	hypothesise HypothesisFunc
	hypothesis  string // what hypothesise has made up
	rerank      *reranking
	decay       *decay
	diversity   float64
	notes       []Note
	onNote      func(Note)
}

// A SearchOption changes how one search is done.
type SearchOption func(*searchConfig)

// TopK asks for at most k hits. The default is 10, the most 1000.
func TopK(k int) SearchOption { return func(c *searchConfig) { c.k = k } }

// WithMode chooses the mode. The default is Hybrid, which is Keyword where the collection has no
// vectors.
func WithMode(m Mode) SearchOption { return func(c *searchConfig) { c.mode = m } }

// WithFusion chooses how a Hybrid search joins its two rankings. The default is ScoreFusion.
func WithFusion(f Fusion) SearchOption { return func(c *searchConfig) { c.fusion = f } }

// MinScore leaves out hits of a lower Score. What a score means depends on the mode: see Hit.
func MinScore(score float64) SearchOption { return func(c *searchConfig) { c.minScore = score } }

// PerDocument takes at most n hits from one document, its best. The default, 0, is no limit.
func PerDocument(n int) SearchOption { return func(c *searchConfig) { c.perDocument = n } }

const (
	defaultTopK = 10
	maxTopK     = 1000
	// pool is the least number of candidates that each search of a hybrid one contributes.
	pool = 100
)

// Search returns the passages of a collection that answer the query best, best first; none for a query
// without a word. A document that is being replaced is found in its old version or its new one, never
// a mixture.
//
// It returns ErrNotFound for an unknown collection, ErrEncoderMismatch for a dense or hybrid search of
// a collection with the vectors of an encoder that the store was not given, and ErrNoVectors for a dense search of one without.
func (s *Store) Search(ctx context.Context, collection, query string, opts ...SearchOption) ([]Hit, error) {
	cfg := searchConfig{mode: Hybrid, k: defaultTopK}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.k <= 0 {
		cfg.k = defaultTopK
	}
	cfg.k = min(cfg.k, maxTopK)
	var err error
	if cfg.mode, err = ParseMode(string(cfg.mode)); err != nil {
		return nil, err
	}
	for _, n := range cfg.notes {
		s.note(cfg, n)
	}
	return s.staged(ctx, collection, query, cfg)
}

// candidates are what one question finds: one search, or several that lead to each other.
func (s *Store) candidates(ctx context.Context, collection, query string, cfg searchConfig) ([]Hit, error) {
	hops, err := s.hops(ctx, collection, query, cfg)
	if err != nil {
		return nil, err
	}
	if hops > 1 {
		return s.hopped(ctx, collection, query, cfg, hops)
	}
	return s.find(ctx, collection, query, cfg)
}

// find is Search once its options are settled.
func (s *Store) find(ctx context.Context, collection, query string, cfg searchConfig) ([]Hit, error) {
	for again := 0; ; again++ {
		vector, encoder, err := s.questionVector(ctx, collection, query, &cfg)
		if err != nil {
			return nil, err
		}
		v, err := s.engine.view(ctx, collection, cfg.filter)
		if err != nil {
			return nil, err
		}
		if v.encoder() != encoder {
			v.close() // the collection was deleted and made again meanwhile
			continue
		}
		hits, gone, err := s.search(ctx, v, question{query, vector}, cfg)
		v.close()
		// What is gone from the record was replaced after the view was opened: a new one has the new version.
		// What is gone then too the engine has too much.
		if gone && err == nil && again == 0 {
			continue
		}
		return hits, err
	}
}

// questionVector embeds the query, unless the search does not need that, before any view is open. It
// settles the mode, and returns the encoder of the collection it looked at.
func (s *Store) questionVector(ctx context.Context, collection, query string, cfg *searchConfig) (vector []float32, encoder string, err error) {
	encoder, dim, err := s.engine.encoder(ctx, collection)
	if err != nil {
		return nil, "", err
	}
	asking := s.asking[encoder]
	switch {
	case cfg.mode == Keyword:
		return nil, encoder, nil
	case encoder == "" && cfg.mode == Hybrid:
		cfg.mode = Keyword
		return nil, encoder, nil
	case encoder == "":
		return nil, "", fmt.Errorf("collection %q: %w: it was filled without an encoder; use keyword search", collection, ErrNoVectors)
	case asking == nil:
		return nil, "", mismatch(collection, encoder, s.fingerprint())
	case strings.TrimSpace(query) == "":
		return nil, encoder, nil
	}
	vector, err = asking.EmbedQuery(ctx, query)
	if err != nil {
		return nil, "", fmt.Errorf("embed query: %w", err)
	}
	if err := normalise(vector, dim); err != nil {
		return nil, "", fmt.Errorf("embed query: %s: %w", encoder, err)
	}
	if cfg.hypothesis == "" {
		return vector, encoder, nil
	}
	made, err := asking.EmbedDocuments(ctx, []string{cfg.hypothesis})
	if err != nil {
		return nil, "", fmt.Errorf("embed hypothesis: %w", err)
	}
	if err := normalise(made[0], dim); err != nil {
		return nil, "", fmt.Errorf("embed hypothesis: %s: %w", encoder, err)
	}
	for i, x := range made[0] {
		vector[i] += x
	}
	if err := normalise(vector, dim); err != nil {
		return nil, "", fmt.Errorf("embed hypothesis: %s: %w", encoder, err)
	}
	return vector, encoder, nil
}

// search says also whether the engine found chunks that the record does not have.
func (s *Store) search(ctx context.Context, v view, q question, cfg searchConfig) (hits []Hit, gone bool, err error) {
	// A limit per document, or to a score, is applied to the ranking; ask for more until it is met. Hits that
	// are read as one passage count as one; want more then.
	want := cfg.k
	for ask := cfg.k; ; ask *= 4 {
		if cfg.perDocument > 0 {
			ask = max(ask, 4*cfg.k)
		}
		ranked, err := s.rank(ctx, v, q, cfg, ask)
		if err != nil {
			return nil, gone, err
		}
		exhausted := len(ranked) < ask
		ranked = limit(ranked, cfg)
		if len(ranked) < want && !exhausted && cfg.perDocument > 0 {
			continue
		}
		ranked = ranked[:min(want, len(ranked))]
		hits, err := s.hydrate(ctx, v.record(), ranked)
		if err != nil {
			return nil, gone, err
		}
		missing := len(hits) < len(ranked)
		gone = gone || missing
		wide, err := s.widen(ctx, v.record(), hits, cfg.neighbours)
		if err != nil {
			return nil, gone, err
		}
		if len(wide) >= cfg.k || len(ranked) < want && (exhausted || !missing) {
			return wide[:min(cfg.k, len(wide))], gone, nil
		}
		want *= 4
	}
}

func limit(ranked []candidate, cfg searchConfig) []candidate {
	count := make(map[string]int)
	return slices.DeleteFunc(ranked, func(c candidate) bool {
		if cfg.minScore != 0 && c.score < cfg.minScore {
			return true
		}
		if cfg.perDocument > 0 {
			count[c.document]++
			return count[c.document] > cfg.perDocument
		}
		return false
	})
}

// rank returns the n best candidates of the mode that cfg has, best first.
func (s *Store) rank(ctx context.Context, v view, q question, cfg searchConfig, n int) ([]candidate, error) {
	switch {
	case cfg.mode == Hybrid && q.vector != nil:
		return s.fuse(ctx, v, q, cfg, n)
	case cfg.mode == Dense && q.vector == nil:
		return nil, nil
	case cfg.mode == Dense:
		found, err := v.nearest(ctx, q, n)
		for i := range found {
			found[i].score = found[i].dense
		}
		return found, err
	}
	found, _, err := v.byWords(ctx, q, n, nil)
	for i := range found {
		found[i].score = found[i].keyword
	}
	return found, err
}

// hydrate fetches the chunks and documents of the candidates. It leaves out those that the record does not
// have, or not as they were written.
func (s *Store) hydrate(ctx context.Context, record catalog.Reader, ranked []candidate) ([]Hit, error) {
	hits := make([]Hit, 0, len(ranked))
	if len(ranked) == 0 {
		return hits, nil
	}
	ids := make([]int64, len(ranked))
	for i, c := range ranked {
		ids[i] = c.chunk
	}
	chunk, document, err := record.PassagesByID(ctx, ids)
	if err = s.sound(err); err != nil {
		return nil, err
	}
	for _, c := range ranked {
		k, ok := chunk[c.chunk]
		if !ok {
			continue
		}
		hits = append(hits, Hit{
			ChunkID: c.chunk, Score: c.score, DenseScore: c.dense, KeywordScore: c.keyword, DenseRank: c.denseRank, KeywordRank: c.kwRank,
			Chunk: k.Chunk, Document: Document(document[k.DocumentID]),
		})
	}
	return hits, nil
}
