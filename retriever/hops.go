package retriever

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/sync/errgroup"

	"docent/internal/prose"
)

// Hops searches n times, 1 being the plain search: what the best passages name, and the words of the
// question that they do not have, make the questions of the next search, so that a passage is found that only
// another one leads to. The first three hits stay as they are, so that a wrong lead costs little. It needs no language
// model. The most is 4. Names are told by their capitals, so that a question with Chinese, Japanese or Korean
// characters is searched once.
//
// The default, 0, is 2 for a hybrid search where further searches cost little: of up to 20,000 chunks in a data directory,
// with an encoder in this process, for a question that a language model has not made others of; and 1 elsewhere, and
// where reciprocal ranks are the scores.
func Hops(n int) SearchOption { return func(c *searchConfig) { c.hops = min(n, maxHops) } }

// What docs/decisions/0013-hops-and-filters.md and 0062-hops-by-default.md tell of.
const (
	maxHops     = 4
	hopPool     = 30     // candidates of each search, at least
	hopBeam     = 3      // passages that each further search starts from
	hopKeep     = 3      // hits that stay the first
	hopNames    = 8      // names of a passage that are searched for
	hopMention  = 0.3    // what a passage gains, by the score of the one that names its document's title
	hopNewScore = 0.3    // the share of its score that a passage keeps which the question itself did not find
	hopUpTo     = 20_000 // chunks of a collection in which Hops(0) hops
)

// hops is how many searches are made where cfg asks for so many.
func (s *Store) hops(ctx context.Context, collection, query string, cfg searchConfig) (int, error) {
	if cfg.hops == 1 || strings.ContainsFunc(query, prose.Wide) {
		return 1, nil
	}
	if cfg.hops > 1 {
		return cfg.hops, nil
	}
	e, inside := s.engine.(*embedded)
	if !inside || cfg.mode != Hybrid || cfg.fusion == RankFusion || cfg.questions != nil {
		return 1, nil
	}
	encoder, _, err := e.encoder(ctx, collection)
	if err != nil {
		return 0, err
	}
	if _, elsewhere := s.asking[encoder].(interface{ URL() string }); elsewhere {
		return 1, nil
	}
	if n, err := e.size(ctx, collection); err != nil || n > hopUpTo {
		return 1, err
	}
	return 2, nil
}

// hopped searches, and then again for what the best passages lead to.
func (s *Store) hopped(ctx context.Context, collection, query string, cfg searchConfig, hops int) ([]Hit, error) {
	wide := cfg
	wide.minScore, wide.k = 0, max(cfg.k, hopPool)
	hits, err := s.find(ctx, collection, query, wide)
	if err != nil {
		return nil, err
	}
	wide.hypothesis, wide.k = "", hopPool
	toShares(hits, cfg)
	followed := make(map[int64]bool)
	for range hops - 1 {
		var from []Hit
		for _, h := range hits {
			if !followed[h.ChunkID] && len(from) < hopBeam {
				followed[h.ChunkID] = true
				from = append(from, h)
			}
		}
		found, err := s.follow(ctx, collection, query, from, wide)
		if err != nil {
			return nil, err
		}
		hits = led(hits, from, found)
	}
	hits = atLeast(atMost(hits, cfg.perDocument), cfg.minScore)
	return hits[:min(cfg.k, len(hits))], nil
}

// follow returns what each passage leads to. The searches go side by side.
func (s *Store) follow(ctx context.Context, collection, query string, from []Hit, cfg searchConfig) ([][]Hit, error) {
	found := make([][]Hit, len(from))
	g, ctx := errgroup.WithContext(ctx)
	for i, b := range from {
		next := bridge(query, b.Document.Title+". "+b.Chunk.Text)
		if next == "" {
			continue
		}
		g.Go(func() (err error) {
			found[i], err = s.find(ctx, collection, next, cfg)
			toShares(found[i], cfg)
			return err
		})
	}
	return found, g.Wait()
}

// led adds what passages have led to, found[i] from from[i], to the hits. A passage gains the product of its score in
// such a search and the score of the passage that led to it: the larger, the surer both steps. Passages of documents of
// one title tell of one thing, and do not lead to each other. The first hits stay the first, whatever the others gain.
func led(hits, from []Hit, found [][]Hit) []Hit {
	base := make(map[int64]float64)
	for _, h := range hits {
		base[h.ChunkID] = h.Score
	}
	gain := make(map[int64]float64)
	for i, b := range from {
		for _, h := range found[i] {
			if h.ChunkID == b.ChunkID || h.Document.Title != "" && h.Document.Title == b.Document.Title {
				continue
			}
			g := b.Score * h.Score
			if mentions(b.Chunk.Text, h.Document.Title) {
				g += hopMention * b.Score
			}
			gain[h.ChunkID] = max(gain[h.ChunkID], g)
			if _, ok := base[h.ChunkID]; !ok {
				base[h.ChunkID] = hopNewScore * h.Score
				h.DenseRank, h.KeywordRank = 0, 0 // the question did not find it
				hits = append(hits, h)
			}
		}
	}
	kept := min(hopKeep, len(hits))
	rest := hits[kept:]
	for i, h := range rest {
		rest[i].Score = base[h.ChunkID] + gain[h.ChunkID]
	}
	sortHits(rest)
	for i := range rest {
		rest[i].Score = min(rest[i].Score, hits[kept-1].Score)
	}
	return hits
}

// toShares makes scores comparable with those of other searches, from 0 to 1 or about that: cosines, scaled or not, and their
// sums with shares are so already; BM25 scores, and sums of reciprocal ranks, become shares of the best one.
func toShares(hits []Hit, cfg searchConfig) {
	byMeaning := slices.ContainsFunc(hits, func(h Hit) bool { return h.DenseScore != 0 })
	if len(hits) == 0 || byMeaning && (cfg.mode == Dense || cfg.fusion != RankFusion) {
		return
	}
	best := hits[0].Score
	if best <= 0 {
		return
	}
	for i := range hits {
		hits[i].Score /= best
	}
}

// mentions says whether a text names a document.
func mentions(text, title string) bool {
	if i := strings.IndexByte(title, '('); i > 0 { // what tells namesakes apart
		title = title[:i]
	}
	title = strings.ToLower(strings.TrimSpace(title))
	return len(title) > 3 && strings.Contains(strings.ToLower(text), title)
}

// bridge makes the question that a passage leads to: the names in it that the question does not have,
// and the words of the question that it does not have.
// It is empty when there is no such name.
func bridge(query, passage string) string {
	has := make(map[string]bool)
	for _, t := range prose.Terms(passage) {
		has[t] = true
	}
	var words []string
	lower := strings.ToLower(query)
	for _, w := range strings.FieldsFunc(query, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '-' }) {
		t := prose.QuestionTerms(w)
		if len(t) > 0 && !has[t[0]] {
			words = append(words, w)
		}
	}
	var fresh []string
	for _, n := range names(passage) {
		if !strings.Contains(lower, strings.ToLower(n)) {
			fresh = append(fresh, n)
		}
	}
	if len(fresh) == 0 {
		return ""
	}
	return strings.Join(append(fresh[:min(len(fresh), hopNames)], words...), " ")
}

// names are the capitalised phrases of a text, each once.
func names(text string) []string {
	var out, run []string
	flush := func() {
		for len(run) > 0 && unicode.IsLower(rune(run[len(run)-1][0])) {
			run = run[:len(run)-1]
		}
		if len(run) > 0 {
			n := strings.Join(run, " ")
			if len(prose.QuestionTerms(n)) > 0 && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
		run = nil
	}
	for _, w := range strings.Fields(text) {
		core := strings.Trim(w, ".,;:!?()[]\"'`“”‘’")
		if core == "" {
			flush()
			continue
		}
		if w[0] == '(' || w[0] == '"' {
			flush()
		}
		r := []rune(core)[0]
		switch {
		case unicode.IsUpper(r):
			run = append(run, core)
		case len(run) > 0 && (core == "of" || core == "the" || core == "de" || core == "and"):
			run = append(run, core)
		default:
			flush()
		}
		if strings.ContainsAny(w[len(w)-1:], ".,;:!?)\"") {
			flush()
		}
	}
	flush()
	return out
}
