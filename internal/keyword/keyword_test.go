package keyword

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"docent/internal/bitset"
	"docent/internal/sections"
)

func TestAnalyze(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"punctuation only", " -- … 。！ ", nil},
		{"stems and case", "Running RUNS ran", []string{"run", "run", "ran"}},
		{"possessives", "the company's James' employees’", []string{"the", "compani", "jame", "employe"}},
		{"typographic possessive", "company’s", []string{"compani"}},
		{"contraction", "don't", []string{"dont"}},
		{"accents", "Café naïve Straße Ångström", []string{"cafe", "naiv", "strass", "angstrom"}},
		{"full width", "ＡＢＣ１２３ Ｗｉｄｅ", []string{"abc123", "123", "abc", "wide"}},
		{"half-width kana", "ｶﾒﾗ", []string{"カ", "カメ", "メ", "メラ", "ラ"}},
		{"ligature", "ﬁle", []string{"file"}},
		{"part number", "ZX-2031B", []string{"zx", "2031b", "2031", "zx2031b"}},
		{"version", "v1.2.3", []string{"v1", "2", "3", "v1.2.3", "1.2.3"}},
		{"decimal", "3.14", []string{"3.14"}},
		{"thousands", "1,234,567", []string{"1234567"}},
		{"list of numbers", "1, 2", []string{"1", "2"}},
		{"e-mail", "a.bc@example.com", []string{"a", "bc", "exampl", "com", "a.bc@example.com"}},
		{"initials", "U.S.", []string{"us"}},
		{"hyphen", "boundary-layer", []string{"boundari", "layer", "boundarylay"}},
		{"plural acronym", "GPUs", []string{"gpu"}},
		{"camel case", "GitHub", []string{"github", "git", "hub"}},
		{"chinese", "备份脚本", []string{"备", "备份", "份", "份脚", "脚", "脚本", "本"}},
		{"traditional", "備份", []string{"备", "备份", "份"}},
		{"one character", "猫", []string{"猫"}},
		{"mixed script", "GitHub备份脚本v2", []string{"github", "git", "hub", "备", "备份", "份", "份脚", "脚", "脚本", "本", "v2"}},
		{"radical", "⽣⽤", []string{"生", "生用", "用"}},
		{"hangul", "서울", []string{"서", "서울", "울"}},
		{"cyrillic", "Москва", []string{"москва"}},
		{"invalid utf-8", "ab\xffcd", []string{"ab", "cd"}},
		{"joints at the ends", "-abc- 'def' .5", []string{"abc", "def", "5"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			analyze(tt.text, func(k token) { got = append(got, k.term) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("terms of %q (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestSearchFinds(t *testing.T) {
	passages := []string{
		"The pump ZX-2031B needs oil every 500 hours.",
		"The pump ZX-2044A needs no oil.",
		"Release v1.2.3 repairs the importer.",
		"Write to payroll@example.com about your salary.",
		"员工每年享有二十天年假，病假另计。",
		"請使用GitHub備份腳本，每天執行一次。",
		"The IT department resets passwords.",
		"To be or not to be, that is the question.",
		"Employees may work from a café.",
		"It is raining.",
	}
	var p Part
	for _, text := range passages {
		p.Add(Analyze("", text))
	}
	x := Index{&p}
	for _, tt := range []struct {
		query string
		want  uint32
	}{
		{"ZX-2031B", 0}, {"zx 2031b", 0}, {"2031", 0}, {"ZX2031B oil?", 0}, {"ＺＸ－２０４４Ａ", 1},
		{"what changed in 1.2.3", 2}, {"v1.2.3", 2}, {"payroll@example.com", 3}, {"example.com", 3},
		{"年假有多少天？", 4}, {"年假规定", 4}, {"病假", 4}, {"备份脚本", 5}, {"GitHub备份脚本", 5}, {"github 備份", 5}, {"github", 5},
		{"who is the IT department", 6}, {"to be or not to be", 7}, {"cafe", 8}, {"employee's cafés", 8},
	} {
		hits, _ := x.Search(ParseQuery(tt.query), 3, Options{})
		if len(hits) == 0 || hits[0].Number != tt.want {
			t.Errorf("%q: got %v, want passage %d first", tt.query, hits, tt.want)
		}
	}
	for _, none := range []string{"", "  ", "?!", "zebra", "斑马"} {
		if hits, _ := x.Search(ParseQuery(none), 3, Options{}); len(hits) != 0 {
			t.Errorf("%q: got %v, want nothing", none, hits)
		}
	}
}

// reference is BM25 by its formula, over a list.
func reference(docs map[uint32]string, q Query) []Hit {
	counts := map[uint32]map[string]float64{}
	lengths := map[uint32]float64{}
	var total float64
	for id, text := range docs {
		counts[id] = map[string]float64{}
		analyze(text, func(t token) {
			counts[id][t.term]++
			lengths[id] += float64(t.words)
		})
		total += lengths[id]
	}
	n := float64(len(docs))
	dfs := map[string]float64{}
	for _, c := range counts {
		for term := range c {
			dfs[term]++
		}
	}
	var hits []Hit
	for id := range docs {
		var score float64
		for _, t := range q.terms {
			df := dfs[t.term]
			tf := counts[id][t.term]
			score += float64(t.weight) * math.Log(1+(n-df+0.5)/(df+0.5)) * tf * (K1 + 1) / (tf + K1*(1-B+B*lengths[id]/(total/n)))
		}
		if score > 0 {
			hits = append(hits, Hit{id, score})
		}
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		if better(a, b) {
			return -1
		}
		return 1
	})
	return hits
}

// compare checks got against the reference, letting equal scores trade places within rounding.
func compare(t *testing.T, got, all []Hit, k int) {
	t.Helper()
	if len(got) != min(k, len(all)) {
		t.Fatalf("got %d hits, want %d", len(got), min(k, len(all)))
	}
	want := map[uint32]float64{}
	for _, h := range all {
		want[h.Number] = h.Score
	}
	for i, h := range got {
		if math.Abs(h.Score-want[h.Number]) > 1e-4*want[h.Number] || math.Abs(h.Score-all[i].Score) > 1e-4*h.Score {
			t.Fatalf("hit %d is %v, want score %v, and %v at this rank", i, h, want[h.Number], all[i])
		}
	}
}

// merged returns the parts as one that was opened, without the passages that keep leaves out, and where
// the others went.
func merged(t testing.TB, x Index, keep func(uint32) bool) (*Part, []uint32) {
	t.Helper()
	w := sections.InMemory(context.Background())
	var all []uint32
	to := make([][]uint32, len(x))
	n := uint32(0)
	for i, p := range x {
		for range p.Len() {
			at := uint32(Gone)
			if keep(uint32(len(all))) {
				at = n
				n++
			}
			all = append(all, at)
		}
		to[i] = all[len(all)-p.Len():]
	}
	if err := Merge(w, x, to); err != nil {
		t.Fatal(err)
	}
	f, err := w.File()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(f, int(n))
	if err != nil {
		t.Fatal(err)
	}
	return p, all
}

func TestAgainstReference(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	vocabulary := strings.Fields("pump oil ZX-2031B leave salary 年假 员工 v1.2.3 the of GitHub备份 engine wing 病假 42 boundary-layer café IT it run running")
	sentence := func(n int) string {
		words := make([]string, n)
		for i := range words {
			words[i] = vocabulary[int(float64(len(vocabulary))*rnd.Float64()*rnd.Float64())]
		}
		return strings.Join(words, " ")
	}
	for round := range 10 {
		x, docs := Index{new(Part)}, map[uint32]string{}
		for step := range 400 {
			docs[uint32(step)] = sentence(1 + rnd.IntN(30))
			x[len(x)-1].Add(Analyze("", docs[uint32(step)]))
			if rnd.IntN(150) == 0 {
				x = append(x, new(Part))
			}
		}
		if round%2 == 1 { // all but some, as one part, and then some more
			kept := map[uint32]string{}
			p, to := merged(t, x, func(i uint32) bool { return rnd.IntN(4) > 0 })
			for i, at := range to {
				if at != Gone {
					kept[at] = docs[uint32(i)]
				}
			}
			x, docs = Index{p, new(Part)}, kept
			for range 40 {
				text := sentence(1 + rnd.IntN(30))
				docs[uint32(len(docs))] = text
				x[1].Add(Analyze("", text))
			}
		}
		var even bitset.Set
		for i := range uint32(len(docs)) {
			if i%2 == 0 {
				even.Add(i)
			}
		}
		for range 20 {
			q, k := ParseQuery(sentence(1+rnd.IntN(5))), 1+rnd.IntN(40)
			all := reference(docs, q)
			opts := Options{Also: []uint32{1, 2, 3, 99, 250}}
			hits, also := x.Search(q, k, opts)
			compare(t, hits, all, k)
			for _, h := range all {
				if i := slices.Index(opts.Also, h.Number); i >= 0 && math.Abs(also[i]-h.Score) > 1e-4*h.Score {
					t.Fatalf("score of %d is %v, want %v", h.Number, also[i], h.Score)
				}
			}
			kept := slices.DeleteFunc(all, func(h Hit) bool { return h.Number%2 == 1 })
			hits, _ = x.Search(q, k, Options{Allow: even})
			compare(t, hits, kept, k)
		}
		// Scores are those of the passages that are left, however many were removed.
		for _, left := range []int{399, 300, 60, 1} {
			var live bitset.Set
			rest := map[uint32]string{}
			for _, i := range rnd.Perm(len(docs)) {
				if len(rest) < left {
					live.Add(uint32(i))
					rest[uint32(i)] = docs[uint32(i)]
				}
			}
			for range 5 {
				q, k := ParseQuery(sentence(1+rnd.IntN(5))), 1+rnd.IntN(40)
				hits, _ := x.Search(q, k, Options{Live: live, Allow: live})
				compare(t, hits, reference(rest, q), k)
			}
		}
	}
}

// TestFewAllowed: where a filter lets few passages through they are looked up, and found as if all had been.
func TestFewAllowed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	x := Index{new(Part), new(Part)}
	docs := map[uint32]string{}
	for i := range uint32(2000) {
		words := []string{"pump"}
		for range rnd.IntN(10) {
			words = append(words, fmt.Sprintf("w%d", rnd.IntN(9)))
		}
		docs[i] = strings.Join(words, " ")
		x[i/1200].Add(Analyze("", docs[i]))
	}
	var few bitset.Set
	for _, i := range []uint32{3, 64, 700, 1199, 1200, 1999, 5000} { // the last is not in the index yet
		few.Add(i)
	}
	for range 20 {
		q := ParseQuery(fmt.Sprintf("pump w%d w%d", rnd.IntN(9), rnd.IntN(12)))
		all := reference(docs, q)
		kept := slices.DeleteFunc(slices.Clone(all), func(h Hit) bool { return !few.Has(h.Number) })
		also := []uint32{3, 5}
		hits, scores := x.Search(q, 4, Options{Allow: few, Also: also})
		compare(t, hits, kept, 4)
		for i, number := range also {
			at := slices.IndexFunc(all, func(h Hit) bool { return h.Number == number })
			if math.Abs(scores[i]-all[at].Score) > 1e-4*all[at].Score {
				t.Fatalf("score of %d is %v, want %v", number, scores[i], all[at].Score)
			}
		}
	}
}

// The short cut is taken, and finds what the long way does.
func TestPruning(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var p Part
	docs := map[uint32]string{}
	for i := range uint32(400) {
		words := []string{"the", "of", "and"}
		for range rnd.IntN(20) {
			words = append(words, fmt.Sprintf("w%d", int(50*rnd.Float64()*rnd.Float64())), "the")
		}
		docs[i] = strings.Join(words, " ")
		p.Add(Analyze("", docs[i]))
	}
	for range 20 {
		q := ParseQuery(fmt.Sprintf("the w%d of and w%d", rnd.IntN(50), rnd.IntN(50)))
		hits, _ := Index{&p}.Search(q, 10, Options{})
		compare(t, hits, reference(docs, q), 10)
	}
}

func TestContextCounts(t *testing.T) {
	var p Part
	p.Add(Analyze("Annual leave", "See the table."))
	p.Add(Analyze("Sick pay", "Annual leave is not sick leave and is granted each year on request."))
	if hits, _ := (Index{&p}).Search(ParseQuery("annual leave"), 2, Options{}); len(hits) != 2 || hits[0].Number != 0 {
		t.Errorf("got %v, want the passage under the heading first", hits)
	}
}

// Whatever a damaged file holds, opening it fails or searching it does not panic.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0}, []byte("ab"), []byte{1, 0, 0, 0, 2, 0, 0, 0}, []byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0, 0, 0}, []byte{4, 0, 4, 0})
	f.Fuzz(func(t *testing.T, lengths, letters, ends, listEnds, docs, counts []byte) {
		w := sections.InMemory(context.Background())
		for name, data := range map[string][]byte{"words.lengths": lengths, "words.letters": letters, "words.ends": ends, "words.listEnds": listEnds, "words.docs": docs, "words.counts": counts} {
			if err := sections.Write(w, name, data); err != nil {
				t.Fatal(err)
			}
		}
		file, err := w.File()
		if err != nil {
			t.Fatal(err)
		}
		p, err := Open(file, len(lengths)/4)
		if err != nil {
			return
		}
		Index{p}.Search(ParseQuery("a b "+string(letters)), 3, Options{Also: []uint32{}})
	})
}

func FuzzAnalyze(f *testing.F) {
	for _, s := range []string{"ZX-2031B v1.2.3", "GitHub备份脚本", "a.b@c.com", "ＡＢＣ", "\xff-\xfe", "İstanbul", "O'Neill’s", strings.Repeat("a-", 100), "aͣ", "ﷺ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		analyze(text, func(k token) {
			n++
			if k.term == "" || k.weight <= 0 {
				t.Fatalf("term %q of weight %v", k.term, k.weight)
			}
			if utf8.ValidString(text) && !utf8.ValidString(k.term) {
				t.Fatalf("term %q is not UTF-8", k.term)
			}
		})
		// NFKC makes one character into up to 18.
		if n > 4*18*len(text) {
			t.Fatalf("%d terms of %d bytes", n, len(text))
		}
		var p Part
		p.Add(Analyze(text, text))
		q := ParseQuery(text)
		if hits, _ := (Index{&p}).Search(q, 1, Options{}); !q.Empty() && len(hits) != 1 {
			t.Fatalf("a passage is not found by itself")
		}
	})
}

func Example() {
	var p Part
	p.Add(Analyze("Handbook > Leave", "Employees accrue 20 days a year."))
	p.Add(Analyze("手册", "每年有二十天年假。"))
	for _, question := range []string{"how many days does an employee accrue?", "年假有多少天"} {
		hits, _ := Index{&p}.Search(ParseQuery(question), 1, Options{})
		fmt.Println(hits[0].Number)
	}
	// Output:
	// 0
	// 1
}

// synthetic returns passages of 120 words, frequent and rare as Zipf has it.
func synthetic(n int) func() string {
	rnd := rand.New(rand.NewPCG(7, 7))
	zipf := rand.NewZipf(rnd, 1.1, 4, 200_000)
	var sb strings.Builder
	return func() string {
		sb.Reset()
		for range n {
			fmt.Fprintf(&sb, "w%dx ", zipf.Uint64())
		}
		return sb.String()
	}
}

func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		var p Part
		next := synthetic(120)
		for range n {
			p.Add(Analyze("", next()))
		}
		x := Index{&p}
		for _, gone := range []int{0, 1, n / 100, n / 5} {
			b.Run(fmt.Sprintf("chunks=%d/gone=%d", n, gone), func(b *testing.B) {
				var live bitset.Set
				for i := range n {
					if gone == 0 || i%(n/gone) != 0 {
						live.Add(uint32(i))
					}
				}
				ask := synthetic(8)
				for b.Loop() {
					x.Search(ParseQuery(ask()), 10, Options{Live: live, Allow: live})
				}
			})
		}
	}
}

func BenchmarkAnalyze(b *testing.B) {
	text := strings.Repeat("The pressure distribution over a slender wing in supersonic flow is calculated. ", 10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Analyze("", text)
	}
}
