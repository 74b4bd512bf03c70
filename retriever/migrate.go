package retriever

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"docent/internal/catalog"
)

// ErrNotSame: a store that was copied does not have, or does not find, what the other does.
var ErrNotSame = errors.New("the copy is not the same")

// ErrUnfinished: a store is a copy that Migrate began, of which a part is missing.
var ErrUnfinished = errors.New("it is an unfinished copy")

// MigrateProgress is how far Migrate is: Done of Total in a stage, "documents", "files" or "queries".
type MigrateProgress struct {
	Stage       string
	Done, Total int
}

// A Migration is what Migrate did.
type Migration struct {
	Counts  map[string]int64 `json:"counts"`  // rows that both stores have, by kind
	Files   int              `json:"files"`   // originals that are in both
	Missing int              `json:"missing"` // originals that are gone from the source, or damaged there
	Queries int              `json:"queries"`
	// Keyword and Dense are the share of the ten best passages of the sampled queries that both stores find;
	// 1 where there was nothing to ask. Engines that search by meaning approximately find not quite the same.
	Keyword float64 `json:"keyword"`
	Dense   float64 `json:"dense"`
}

const (
	// sampled is how many passages of a collection are searched for in both stores.
	sampled = 20
	// The least shares of the same hits.
	sameKeyword, sameDense = 0.95, 0.9
)

// Migrate copies everything that a store holds to another, which must be empty: collections, documents,
// vectors and originals, jobs, conversations, settings and watches. Nothing is embedded: neither needs an
// encoder. Where both have the same record, and only the engine that searches is another, that is filled. One
// that was cut off goes on where it was when it is called again with the same stores. Nobody may change either
// meanwhile.
//
// At the end the two are compared: the numbers of rows, and the passages that sampled queries find. It returns
// ErrNotSame when they differ, and ErrExists for a store that holds something else.
func Migrate(ctx context.Context, from, to Config, progress func(MigrateProgress)) (m Migration, err error) {
	if progress == nil {
		progress = func(MigrateProgress) {}
	}
	source, err := Open(ctx, from)
	if err != nil {
		return m, fmt.Errorf("migrate from: %w", err)
	}
	defer func() { source.Close() }()
	queries, err := source.sample(ctx)
	if err != nil {
		return m, fmt.Errorf("migrate: %w", err)
	}
	want, err := source.answers(ctx, queries, progress)
	if err != nil {
		return m, fmt.Errorf("migrate: %w", err)
	}
	same, err := sameRecord(from, to)
	if err != nil {
		return m, err
	}
	if same {
		if m.Counts, err = source.db.Counts(ctx); err != nil {
			return m, err
		}
		source.Close() // it holds the record
	}
	to.copying = true
	target, err := Open(ctx, to)
	if err != nil {
		return m, fmt.Errorf("migrate to: %w", err)
	}
	defer target.Close()
	if !same {
		if err := m.copyRecord(ctx, source, target, progress); err != nil {
			return m, fmt.Errorf("migrate: %w", err)
		}
	}
	got, err := target.answers(ctx, queries, progress)
	if err != nil {
		return m, fmt.Errorf("migrate: %w", err)
	}
	var keyword, dense overlap
	for i := range want {
		keyword.add(want[i].keyword, got[i].keyword, func(c candidate) float64 { return c.keyword })
		dense.add(want[i].dense, got[i].dense, func(c candidate) float64 { return c.dense })
	}
	m.Queries, m.Keyword, m.Dense = len(queries), keyword.share(), dense.share()
	if m.Keyword < sameKeyword || m.Dense < sameDense {
		return m, fmt.Errorf("migrate: %w: of the ten best passages for %d queries %.1f %% by keyword and %.1f %% by meaning are those of the other store", ErrNotSame, m.Queries, 100*m.Keyword, 100*m.Dense)
	}
	if same {
		return m, nil
	}
	return m, target.db.EndTransfer(ctx)
}

// sameRecord says whether two stores differ only in what searches them.
func sameRecord(a, b Config) (bool, error) {
	record := func(c Config) (string, error) {
		address := c.Store
		if isWeaviate(address) {
			settings, err := parseWeaviate(address)
			if err != nil {
				return "", err
			}
			address = settings.catalog
		}
		if address != "" {
			return address, nil
		}
		return filepath.Abs(c.Dir)
	}
	one, err := record(a)
	if err != nil {
		return false, err
	}
	other, err := record(b)
	return one == other, err
}

// copyRecord copies the record and the originals, and lets the engine of to begin anew with them.
func (m *Migration) copyRecord(ctx context.Context, from, to *Store, progress func(MigrateProgress)) error {
	err := to.db.Transfer(ctx, from.db, func(p catalog.TransferProgress) { progress(MigrateProgress{"documents", p.Done, p.Total}) })
	if err != nil {
		return err
	}
	if err := m.copyFiles(ctx, from, to, progress); err != nil {
		return err
	}
	all, err := to.Collections(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := to.engine.discard(ctx, c.Name); err != nil {
			return err
		}
	}
	m.Counts, err = compareCounts(ctx, from, to)
	return err
}

// copyFiles copies the originals that documents and unfinished jobs name and that to has not.
func (m *Migration) copyFiles(ctx context.Context, from, to *Store, progress func(MigrateProgress)) error {
	sums, err := from.db.Files(ctx)
	if err != nil {
		return err
	}
	for i, sum := range sums {
		progress(MigrateProgress{"files", i, len(sums)})
		has, err := to.files.has(ctx, sum)
		if err != nil {
			return err
		}
		if !has {
			if has, err = copyFile(ctx, from, to, sum); err != nil {
				return err
			}
		}
		if has {
			m.Files++
		} else {
			m.Missing++
			from.log.WarnContext(ctx, "an original is gone or damaged, and not copied", "sha256", sum)
		}
	}
	progress(MigrateProgress{"files", len(sums), len(sums)})
	return nil
}

// copyFile reports false for a file that is not there with its checksum.
func copyFile(ctx context.Context, from, to *Store, sum string) (bool, error) {
	f, err := from.OpenFile(ctx, sum)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	got, _, err := to.PutFile(ctx, f)
	if err != nil || got != sum {
		return false, err
	}
	to.files.used(ctx, sum) // documents name it already
	return true, nil
}

func compareCounts(ctx context.Context, from, to *Store) (map[string]int64, error) {
	want, err := from.db.Counts(ctx)
	if err != nil {
		return nil, err
	}
	got, err := to.db.Counts(ctx)
	if err != nil {
		return nil, err
	}
	var differ []string
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		if want[kind] != got[kind] {
			differ = append(differ, fmt.Sprintf("%d %s, want %d", got[kind], kind, want[kind]))
		}
	}
	if len(differ) > 0 {
		return got, fmt.Errorf("%w: it has %s", ErrNotSame, strings.Join(differ, "; "))
	}
	return got, nil
}

// A sampledQuery asks for a passage by some of its words and by its vector.
type sampledQuery struct {
	collection string
	question
}

// sample returns queries for passages from all over each collection.
func (s *Store) sample(ctx context.Context) ([]sampledQuery, error) {
	all, err := s.Collections(ctx)
	if err != nil {
		return nil, err
	}
	var queries []sampledQuery
	for _, c := range all {
		ids, err := s.db.ChunkIDs(ctx, c.Name)
		if err != nil {
			return nil, err
		}
		slices.Sort(ids)
		picked := ids
		if len(ids) > sampled {
			picked = make([]int64, sampled)
			for i := range picked {
				picked[i] = ids[i*len(ids)/sampled]
			}
		}
		chunks, err := s.db.ChunksByID(ctx, picked)
		if err != nil {
			return nil, err
		}
		vectors, err := s.db.VectorsByID(ctx, picked)
		if err != nil {
			return nil, err
		}
		for _, k := range chunks {
			words := strings.Fields(k.Text)
			queries = append(queries, sampledQuery{c.Name, question{text: strings.Join(words[:min(len(words), 8)], " "), vector: vectors[k.ID]}})
		}
	}
	return queries, nil
}

const bestHits = 10

// An answer is what a query finds, best first.
type answer struct{ keyword, dense []candidate }

func (s *Store) answers(ctx context.Context, queries []sampledQuery, progress func(MigrateProgress)) ([]answer, error) {
	var all []answer
	for i, q := range queries {
		progress(MigrateProgress{"queries", i, len(queries)})
		a, err := s.answer(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("collection %q: %w", q.collection, err)
		}
		all = append(all, a)
	}
	progress(MigrateProgress{"queries", len(queries), len(queries)})
	return all, nil
}

func (s *Store) answer(ctx context.Context, q sampledQuery) (a answer, err error) {
	v, err := s.engine.view(ctx, q.collection, Filter{})
	if err != nil {
		return a, err
	}
	defer v.close()
	if a.keyword, _, err = v.byWords(ctx, q.question, bestHits, nil); err != nil || len(q.vector) == 0 {
		return a, err
	}
	a.dense, err = v.nearest(ctx, q.question, bestHits)
	return a, err
}

// An overlap counts which of the best hits of one list are among those of another.
type overlap struct{ same, all int }

// add counts the best of want that got has too. One that is only as good as the last of the best may be missing:
// which of many equals are found is each engine's own affair.
func (o *overlap) add(want, got []candidate, score func(candidate) float64) {
	best, others := want[:min(len(want), bestHits)], got[:min(len(got), bestHits)]
	o.all += len(best)
	for _, c := range best {
		same := func(g candidate) bool { return g.chunk == c.chunk }
		if slices.ContainsFunc(others, same) || len(others) == bestHits && score(c) <= score(others[bestHits-1])+1e-4*math.Abs(score(c)) {
			o.same++
		}
	}
}

func (o *overlap) share() float64 {
	if o.all == 0 {
		return 1
	}
	return float64(o.same) / float64(o.all)
}
