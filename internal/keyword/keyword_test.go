package keyword

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
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
	x := New()
	for i, p := range passages {
		x.Add(int64(i), Analyze("", p))
	}
	for _, tt := range []struct {
		query string
		want  int64
	}{
		{"ZX-2031B", 0}, {"zx 2031b", 0}, {"2031", 0}, {"ZX2031B oil?", 0}, {"ＺＸ－２０４４Ａ", 1},
		{"what changed in 1.2.3", 2}, {"v1.2.3", 2}, {"payroll@example.com", 3}, {"example.com", 3},
		{"年假有多少天？", 4}, {"病假", 4}, {"备份脚本", 5}, {"github 備份", 5}, {"github", 5},
		{"who is the IT department", 6}, {"to be or not to be", 7}, {"cafe", 8}, {"employee's cafés", 8},
	} {
		hits := x.Search(ParseQuery(tt.query), 3, nil, nil, nil)
		if len(hits) == 0 || hits[0].ID != tt.want {
			t.Errorf("%q: got %v, want passage %d first", tt.query, hits, tt.want)
		}
	}
	for _, none := range []string{"", "  ", "?!", "zebra", "斑马"} {
		if hits := x.Search(ParseQuery(none), 3, nil, nil, nil); len(hits) != 0 {
			t.Errorf("%q: got %v, want nothing", none, hits)
		}
	}
}

// reference is BM25 by its formula, over a list.
func reference(docs map[int64]string, q Query) []Hit {
	counts := map[int64]map[string]float64{}
	lengths := map[int64]float64{}
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
	var hits []Hit
	for id := range docs {
		var score float64
		for _, t := range q.terms {
			var df float64
			for _, c := range counts {
				if c[t.term] > 0 {
					df++
				}
			}
			tf := counts[id][t.term]
			score += float64(t.weight) * math.Log(1+(n-df+0.5)/(df+0.5)) * tf * (k1 + 1) / (tf + k1*(1-b+b*lengths[id]/(total/n)))
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
	want := map[int64]float64{}
	for _, h := range all {
		want[h.ID] = h.Score
	}
	for i, h := range got {
		if math.Abs(h.Score-want[h.ID]) > 1e-4*want[h.ID] || math.Abs(h.Score-all[i].Score) > 1e-4*h.Score {
			t.Fatalf("hit %d is %v, want score %v, and %v at this rank", i, h, want[h.ID], all[i])
		}
	}
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
	for round := range 20 {
		x, docs := New(), map[int64]string{}
		for step := range 400 {
			id := int64(rnd.IntN(150))
			if rnd.IntN(3) == 0 {
				x.Remove(id)
				delete(docs, id)
			} else {
				docs[id] = sentence(1 + rnd.IntN(30))
				x.Add(id, Analyze("", docs[id]))
			}
			if x.Len() != len(docs) {
				t.Fatalf("round %d, step %d: %d passages, want %d", round, step, x.Len(), len(docs))
			}
		}
		// Until then dead passages count in the statistics.
		x.compact()
		for range 20 {
			q, k := ParseQuery(sentence(1+rnd.IntN(5))), 1+rnd.IntN(40)
			all := reference(docs, q)
			also, extra := []int64{1, 2, 3, 999}, map[int64]float64{}
			compare(t, x.Search(q, k, nil, also, extra), all, k)
			for _, h := range all {
				if got, ok := extra[h.ID]; ok && math.Abs(got-h.Score) > 1e-4*h.Score {
					t.Fatalf("score of %d is %v, want %v", h.ID, got, h.Score)
				}
			}
			even := func(id int64) bool { return id%2 == 0 }
			kept := slices.DeleteFunc(all, func(h Hit) bool { return !even(h.ID) })
			compare(t, x.Search(q, k, even, nil, nil), kept, k)
		}
	}
}

func TestContextCounts(t *testing.T) {
	x := New()
	x.Add(1, Analyze("Annual leave", "See the table."))
	x.Add(2, Analyze("Sick pay", "Annual leave is not sick leave and is granted each year on request."))
	if hits := x.Search(ParseQuery("annual leave"), 2, nil, nil, nil); len(hits) != 2 || hits[0].ID != 1 {
		t.Errorf("got %v, want the passage under the heading first", hits)
	}
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
		x := New()
		x.Add(1, Analyze(text, text))
		if q := ParseQuery(text); !q.Empty() && len(x.Search(q, 1, nil, nil, nil)) != 1 {
			t.Fatalf("a passage is not found by itself")
		}
	})
}

func Example() {
	x := New()
	x.Add(1, Analyze("Handbook > Leave", "Employees accrue 20 days a year."))
	x.Add(2, Analyze("手册", "每年有二十天年假。"))
	for _, h := range x.Search(ParseQuery("how many days does an employee accrue?"), 1, nil, nil, nil) {
		fmt.Println(h.ID)
	}
	for _, h := range x.Search(ParseQuery("年假有多少天"), 1, nil, nil, nil) {
		fmt.Println(h.ID)
	}
	// Output:
	// 1
	// 2
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
		b.Run(fmt.Sprintf("chunks=%d", n), func(b *testing.B) {
			x, next := New(), synthetic(120)
			for i := range n {
				x.Add(int64(i), Analyze("", next()))
			}
			ask := synthetic(8)
			for b.Loop() {
				x.Search(ParseQuery(ask()), 10, nil, nil, nil)
			}
		})
	}
}

func BenchmarkAnalyze(b *testing.B) {
	text := strings.Repeat("The pressure distribution over a slender wing in supersonic flow is calculated. ", 10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Analyze("", text)
	}
}
