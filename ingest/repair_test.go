package ingest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/chunker"
	"docent/ingest"
	"docent/retriever"
)

// hashEncoder makes vectors of what a text's words hash to.
type hashEncoder struct{}

func (hashEncoder) Fingerprint() string { return "hash@1" }
func (hashEncoder) Dim() int            { return 8 }
func (hashEncoder) Languages() []string { return nil }

func (hashEncoder) EmbedQuery(_ context.Context, text string) ([]float32, error) {
	v := make([]float32, 8)
	v[0] = 1
	for w := range strings.FieldsSeq(text) {
		h := fnv.New32a()
		h.Write([]byte(w))
		v[h.Sum32()%8]++
	}
	return v, nil
}

func (e hashEncoder) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	vs := make([][]float32, len(texts))
	for i, t := range texts {
		vs[i], _ = e.EmbedQuery(ctx, t)
	}
	return vs, nil
}

// repairBench is a closed store of some files that are also beside it.
type repairBench struct {
	*bench
	paths []string
	want  map[string]string // path to what is known of the document
}

const repairFiles = 6

func newRepairBench(t testing.TB) *repairBench {
	t.Helper()
	b := &repairBench{bench: &bench{dir: t.TempDir()}}
	b.open(t)
	if _, err := b.store.CreateCollection(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	for i := range repairFiles {
		var text strings.Builder
		fmt.Fprintf(&text, "# Part %d\n\n", i)
		for j := range 12 {
			fmt.Fprintf(&text, "Paragraph %d of part %d says that pump p%dx%d is serviced every %d days, and that nobody runs it dry.\n\n", j, i, i, j, 10*j+i)
		}
		it := b.file(t, fmt.Sprintf("part%d.md", i), text.String())
		if _, err := b.pipe.Ingest(t.Context(), "c", it, nil); err != nil {
			t.Fatal(err)
		}
		b.paths = append(b.paths, it.Path)
	}
	b.want = b.state(t)
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *repairBench) open(t testing.TB) {
	t.Helper()
	var err error
	if b.store, err = retriever.Open(t.Context(), retriever.Config{Dir: filepath.Join(b.dir, "data"), Encoder: hashEncoder{}}); err != nil {
		t.Fatal(err)
	}
	b.pipe = newPipeline(t, b.store, chunker.RecursiveConfig{MaxTokens: 60}, ingest.PipelineConfig{})
}

// state tells each document of the collection, with its passages; when it was made, and under which ids of
// passages, does not count.
func (b *repairBench) state(t testing.TB) map[string]string {
	t.Helper()
	docs, err := b.store.Documents(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	state := make(map[string]string)
	for _, d := range docs {
		content, err := b.store.Content(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		chunks, err := b.store.Catalog().Chunks(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		told := fmt.Sprintf("%s %s %s %d\n%s %s %d %d %v %v\n%s\n", d.ID, d.Title, d.SHA256, d.Chunks, d.Format, d.Language, d.Bytes, d.Pages, d.Metadata, d.Warnings, content.Text)
		for _, k := range chunks {
			told += fmt.Sprintf("%d-%d %q %s\n", k.Start, k.End, k.Headings, k.Text)
		}
		state[d.Path] = told
	}
	return state
}

func (b *repairBench) change(t testing.TB, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.dir, "data", "docent.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

// stored is where the original of a path is kept.
func (b *repairBench) stored(t testing.TB, path string) string {
	t.Helper()
	sum := strings.Fields(b.want[path])[len(strings.Fields(strings.SplitN(b.want[path], "\n", 2)[0]))-2]
	return filepath.Join(b.dir, "data", "files", sum[:2], sum)
}

func TestRepair(t *testing.T) {
	const of = `document_id = (SELECT id FROM documents WHERE path = ?)`
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, b *repairBench)
		says   string
		left   string // a problem that stays
	}{
		{"nothing", func(*testing.T, *repairBench) {}, "", ""},
		{"a passage", func(t *testing.T, b *repairBench) {
			b.change(t, `UPDATE chunks SET text = replace(text, 'serviced', 'seeviced') WHERE ordinal = 1 AND `+of, b.paths[1])
		}, "made again of its text", ""},
		{"the heading of a passage", func(t *testing.T, b *repairBench) {
			b.change(t, `UPDATE chunks SET headings = '["Part' WHERE ordinal = 1 AND `+of, b.paths[1])
		}, "made again of its text", ""},
		{"a vector", func(t *testing.T, b *repairBench) {
			b.change(t, `UPDATE chunks SET vector = CAST(x'0000c07f' || substr(vector, 5) AS BLOB) WHERE ordinal = 2 AND `+of, b.paths[2])
		}, "made again of its text", ""},
		{"a vector is gone", func(t *testing.T, b *repairBench) {
			b.change(t, `UPDATE chunks SET vector = NULL WHERE `+of, b.paths[2])
		}, "made again of its text", ""},
		{"passages are gone", func(t *testing.T, b *repairBench) {
			b.change(t, `DELETE FROM chunks WHERE ordinal > 0 AND `+of, b.paths[3])
		}, "made again of its text", ""},
		{"a text", func(t *testing.T, b *repairBench) {
			b.change(t, `UPDATE contents SET text = replace(text, 'nobody', 'somebody') WHERE `+of, b.paths[4])
		}, "made again of its original", ""},
		{"a structure", func(t *testing.T, b *repairBench) {
			b.change(t, `UPDATE contents SET structure = substr(structure, 9) WHERE `+of, b.paths[4])
		}, "made again of its original", ""},
		{"a text is gone", func(t *testing.T, b *repairBench) { b.change(t, `DELETE FROM contents WHERE `+of, b.paths[0]) }, "made again of its original", ""},
		{"an original", func(t *testing.T, b *repairBench) { spoil(t, b.stored(t, b.paths[5]), 40) }, "read again from", ""},
		{"an original is cut", func(t *testing.T, b *repairBench) {
			if err := os.Truncate(b.stored(t, b.paths[5]), 10); err != nil {
				t.Fatal(err)
			}
		}, "read again from", ""},
		{"an original and where it came from", func(t *testing.T, b *repairBench) {
			spoil(t, b.stored(t, b.paths[5]), 40)
			spoil(t, b.paths[5], 50)
		}, "", "is damaged: its bytes"},
		{"an original and a passage", func(t *testing.T, b *repairBench) {
			spoil(t, b.stored(t, b.paths[5]), 40)
			spoil(t, b.paths[5], 50)
			b.change(t, `UPDATE chunks SET text = 'no' WHERE ordinal = 1 AND `+of, b.paths[5])
		}, "made again of its text", "is damaged: its bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newRepairBench(t)
			tc.damage(t, b)
			b.open(t)
			defer b.store.Close()
			done, left, err := b.pipe.Repair(t.Context(), "c")
			if err != nil {
				t.Fatal(err)
			}
			if said := fmt.Sprint(done); tc.says == "" && len(done) > 0 || !strings.Contains(said, tc.says) {
				t.Errorf("it says %s, want %q in it", said, tc.says)
			}
			if tc.left == "" && len(left.Problems) > 0 || !strings.Contains(fmt.Sprint(left.Problems), tc.left) {
				t.Errorf("left: %+v, want %q in it", left.Problems, tc.left)
			}
			if diff := cmp.Diff(b.want, b.state(t)); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a text and its original", func(t *testing.T) {
		b := newRepairBench(t)
		b.change(t, `DELETE FROM contents WHERE `+of, b.paths[0])
		spoil(t, b.stored(t, b.paths[0]), 3)
		spoil(t, b.paths[0], 3)
		b.open(t)
		defer b.store.Close()
		done, left, err := b.pipe.Repair(t.Context(), "c")
		if err != nil || len(left.Problems) != 2 || !strings.Contains(fmt.Sprint(done), "could not be made again: its original is damaged or gone") {
			t.Errorf("%+v, left %+v, %v", done, left.Problems, err)
		}
	})
}

func spoil(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// TestRepairRandomDamage flips bits and cuts files of a closed store at random. Opening it then works or
// fails with an error that names the file, repair ends, and after it each document is what it was, or is one
// that the repair told of; a document whose original is whole is not lost.
func TestRepairRandomDamage(t *testing.T) {
	rounds := 25
	if os.Getenv("DOCENT_DAMAGE_ROUNDS") != "" {
		fmt.Sscan(os.Getenv("DOCENT_DAMAGE_ROUNDS"), &rounds)
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DOCENT_DAMAGE_SEED"); s != "" {
		fmt.Sscan(s, &seed)
	}
	t.Logf("DOCENT_DAMAGE_SEED=%d; DOCENT_DAMAGE_ROUNDS=1000 runs more than %d rounds", seed, rounds)
	whole := newRepairBench(t)
	data := filepath.Join(whole.dir, "data")
	var files []string
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "lock" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	refused, repaired, lost := 0, 0, 0
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		b := &repairBench{bench: &bench{dir: t.TempDir()}, want: whole.want}
		if err := os.CopyFS(filepath.Join(b.dir, "data"), os.DirFS(data)); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(data, "docent.db") // more often than one of so many
		if rnd.IntN(3) == 0 {
			name = files[rnd.IntN(len(files))]
		}
		rel, err := filepath.Rel(data, name)
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.Join(b.dir, "data", rel)
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		how := ""
		if rnd.IntN(4) == 0 {
			size := rnd.Int64N(info.Size())
			how = fmt.Sprintf("%s cut to %d", rel, size)
			if err := os.Truncate(name, size); err != nil {
				t.Fatal(err)
			}
		} else {
			how = "bits flipped in " + rel + ":"
			for range 1 + rnd.IntN(8) {
				at := rnd.Int64N(info.Size())
				how += fmt.Sprint(" ", at)
				spoil(t, name, at)
			}
		}
		b.repairAndCheck(t, how, &refused, &repaired, &lost)
		if t.Failed() {
			t.Fatalf("round %d: %s", round, how)
		}
	}
	t.Logf("%d rounds: %d refused to open, in %d something was repaired, %d documents lost and told", rounds, refused, repaired, lost)
}

func (b *repairBench) repairAndCheck(t *testing.T, how string, refused, repaired, lost *int) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := filepath.Join(b.dir, "data")
	s, err := retriever.Open(ctx, retriever.Config{Dir: dir, Encoder: hashEncoder{}})
	if err == nil {
		_, err = s.Verify(ctx, "c")
		s.Close()
	} else {
		*refused++
		if !strings.Contains(err.Error(), "docent.db") {
			t.Errorf("%s: the error %q names no file", how, err)
		}
	}
	if err != nil && !errors.Is(err, retriever.ErrCorrupt) && !strings.Contains(err.Error(), "not found") && !strings.Contains(err.Error(), "no such") {
		t.Logf("%s: %v", how, err)
	}
	done, err := retriever.RepairDir(ctx, dir, nil)
	if err != nil {
		t.Errorf("%s: repair: %+v, %v", how, done, err)
		return
	}
	b.open(t)
	defer b.store.Close()
	all, err := b.store.Collections(ctx)
	if err != nil {
		t.Errorf("%s: %v", how, err)
		return
	}
	left := 0
	for _, c := range all {
		more, v, err := b.pipe.Repair(ctx, c.Name)
		if err != nil {
			t.Errorf("%s: repair of %q: %v", how, c.Name, err)
			return
		}
		done = append(done, more...)
		left += len(v.Problems)
	}
	if len(done) > 0 {
		*repaired++
	}
	if !slices.ContainsFunc(all, func(c retriever.Collection) bool { return c.Name == "c" }) {
		if len(done) == 0 {
			t.Errorf("%s: the collection is gone, and nothing was told", how)
		}
		return
	}
	got := b.state(t)
	kept, _ := filepath.Glob(filepath.Join(dir, "damaged-*", "files", "*"))
	gone := 0
	for path, want := range b.want {
		switch has, ok := got[path]; {
		case !ok:
			gone++
		case has != want && len(done) == 0 && left == 0:
			t.Errorf("%s: %s is changed, and nothing was told: %s", how, path, cmp.Diff(want, has))
		}
	}
	*lost += gone
	if gone > len(kept) && len(got) < len(b.want) {
		t.Errorf("%s: %d documents are lost, and %d originals kept; %v", how, gone, len(kept), done)
	}
}
