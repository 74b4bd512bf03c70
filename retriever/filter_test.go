package retriever_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/retriever"
)

// filters says of each whether it lets the document of TestFilterMatches through.
var filters = map[string]bool{
	"":                                       true,
	"team = sales":                           true,
	"team = Sales":                           false,
	"team != sales":                          false,
	"TEAM = sales":                           false,
	"owner != bob":                           true,
	"owner = bob":                            false,
	"owner exists":                           false,
	"not owner exists":                       true,
	"team in (ops, sales)":                   true,
	"team in ('ops')":                        false,
	"year >= 2024 and year < 2025":           true,
	"year > 2024":                            false,
	"year > 300":                             true, // as numbers
	"price < 10":                             true,
	"price = 9.5":                            false, // equality is of the text
	"version < v9":                           true,  // as text
	"signed < 2024-03":                       true,
	"signed >= 2024-02-29":                   true,
	"signed > 2024-02":                       false, // within the month
	"signed <= 2024":                         true,
	"updated = 2026-11-25":                   true,
	"updated in (2025, 2026)":                true,
	"updated != 2026":                        false,
	"updated > 2026-11-25T23:00:00Z":         true,
	"added < 2025-03-01T10:00:00+02:00":      false,
	"pages = 12.0":                           true,
	"pages in (11, 12)":                      true,
	"bytes > 1e4":                            true,
	"path prefix reports/":                   true,
	"path prefix 'reports/2025/North S'":     true,
	"title = 'North Sea'":                    true,
	"metadata.title = meta":                  true,
	"format = pdf or team = ops and x = y":   true, // and binds tighter
	"(format = pdf or team = ops) AND x = y": false,
	"not (team = sales or team = ops)":       false,
	"not not team = sales":                   true,
	`"team" = "sa\u006ces"`:                  true,
	"id = 7":                                 true,
}

func TestFilterMatches(t *testing.T) {
	doc := retriever.Document{
		ID: "7", Path: "reports/2025/North Sea.pdf", Title: "North Sea", Format: "pdf", Language: "en", Pages: 12, Bytes: 20_000,
		AddedAt: time.Date(2025, 3, 1, 9, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 25, 23, 59, 59, 0, time.UTC),
		Metadata: map[string]string{"team": "sales", "year": "2024", "price": "9.50", "signed": "2024-02-29", "title": "meta", "version": "v10", "": "x"},
	}
	for text, want := range filters {
		f, err := retriever.ParseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := f.Matches(doc); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	// What a document lacks is not zero.
	for _, text := range []string{"pages < 5", "bytes >= 0", "title = ''", "title prefix ''", "added < 2030", "language exists"} {
		f, err := retriever.ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := f.Matches(retriever.Document{ID: "1", Path: "p"}); got {
			t.Errorf("%s lets a document without the field through", text)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for text, place := range map[string]string{
		"team":                                "at character 5 it ends",
		"team =":                              "at character 7",
		"team = a b":                          `at character 10 there is "b"`,
		"团队 = 'x":                             "at character 6",
		"team in ()":                          "at character 10",
		"team in (a":                          "at character 11",
		"(team = a":                           `wants ")"`,
		"team = \"a":                          "at character 8",
		"and = 3":                             "at character 1",
		"a ! 3":                               "at character 3",
		"a = 1 ; b = 2":                       "at character 7",
		"pages > many":                        `"pages"`,
		"updated > soon":                      `"updated"`,
		"pages prefix 1":                      `"pages"`,
		"metadata. = 1":                       "field",
		strings.Repeat("(", 100):              "levels",
		strings.Repeat("not ", 1e5) + "a = 1": "levels",
	} {
		if _, err := retriever.ParseFilter(text); !errors.Is(err, retriever.ErrInvalidFilter) || !strings.Contains(err.Error(), place) {
			t.Errorf("%.40s: %v, want %s", text, err, place)
		}
	}
	for _, text := range []string{`{"op":"="}`, `{"op":"and"}`, `{"op":"not","of":[{},{}]}`, `{"field":"a"}`, `{"op":"~","field":"a"}`, `{"op":"=","field":"a","values":["1","2"]}`, `{"op":"in","field":"a","of":[{}]}`} {
		var f retriever.Filter
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Matches(retriever.Document{}); !errors.Is(err, retriever.ErrInvalidFilter) {
			t.Errorf("%s: %v", text, err)
		}
	}
	var f retriever.Filter
	if err := json.Unmarshal([]byte(`{"op":"=","fields":"a"}`), &f); !errors.Is(err, retriever.ErrInvalidFilter) {
		t.Errorf("unknown key: %v", err)
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{"a = 1 and (b != '2' or not c in (3, \"\\n\"))", "pages >= 3", "a exists or b prefix x", "((a=1))", "not not a<=2024-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := retriever.ParseFilter(text)
		if err != nil {
			if !errors.Is(err, retriever.ErrInvalidFilter) {
				t.Fatal(err)
			}
			return
		}
		if _, err := filter.Matches(retriever.Document{}); err != nil {
			t.Fatal(err)
		}
		again, err := retriever.ParseFilter(filter.String())
		if err != nil {
			t.Fatalf("%q: %v", filter, err)
		}
		if d := cmp.Diff(filter, again); d != "" {
			t.Fatalf("%q: %s", filter, d)
		}
		data, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), `\ufffd`) { // JSON cannot say what is not UTF-8
			var back retriever.Filter
			if err := json.Unmarshal(data, &back); err != nil || !cmp.Equal(filter, back) {
				t.Fatalf("%s: %v", data, err)
			}
		}
	})
}

// What filters let through follows every change of the collection.
func TestFilterFollowsChanges(t *testing.T) { eachStore(t, testFilterFollowsChanges) }

func testFilterFollowsChanges(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "c")
	store := func(path, team, text string) retriever.Document {
		t.Helper()
		d, err := put(ctx, s, "c", retriever.Document{Path: path, Metadata: map[string]string{"team": team}}, text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	where := func(text string) string {
		t.Helper()
		f, err := retriever.ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, m := range modes {
			all = append(all, fmt.Sprint(len(search(t, s, "c", "leave", retriever.WithMode(m), retriever.Where(f), retriever.TopK(100)))))
		}
		return strings.Join(all, " ")
	}
	check := func(when, sales, ops string) {
		t.Helper()
		if a, b := where("team = sales"), where("team = ops"); a != sales || b != ops {
			t.Errorf("%s: sales %s, ops %s", when, a, b)
		}
	}
	store("1", "sales", "leave one\nleave two\n")
	two := store("2", "ops", "leave three\n")
	check("at first", "2 2 2", "1 1 1")
	store("3", "sales", "leave four\n")
	check("added", "3 3 3", "1 1 1")
	store("1", "ops", "leave one\n")
	check("replaced", "1 1 1", "2 2 2")
	if err := s.DeleteDocument(ctx, two.ID); err != nil {
		t.Fatal(err)
	}
	check("deleted", "1 1 1", "1 1 1")
	for i := range 3 * 32 { // more filters than are kept
		where(fmt.Sprintf("team = t%d", i))
	}
	check("forgotten", "1 1 1", "1 1 1")
	both := []retriever.SearchOption{retriever.WithMetadata("team", "sales"), retriever.Where(retriever.Filter{Op: retriever.Prefix, Field: "path", Values: []string{"4"}})}
	if hits := search(t, s, "c", "leave", both...); len(hits) != 0 {
		t.Errorf("two filters do not both hold: %v", found(hits))
	}
	if _, err := s.Search(ctx, "c", "leave", retriever.Where(retriever.Filter{Op: "?"})); !errors.Is(err, retriever.ErrInvalidFilter) {
		t.Errorf("a bad filter: %v", err)
	}
}

// A search finds the passages of just those documents that the filter lets through, in every mode.
func TestFilteredSearch(t *testing.T) { eachStore(t, testFilteredSearch) }

func testFilteredSearch(t *testing.T, at place) {
	s := at.open(t, words)
	create(t, s, "c", "other")
	mustPut(t, s, "other", "reports/elsewhere", "leave\n")
	var docs []retriever.Document
	for i, d := range []retriever.Document{
		{Title: "North Sea", Format: "pdf", Language: "en", Pages: 12, Bytes: 20_000, Metadata: map[string]string{
			"team": "sales", "year": "2024", "price": "9.50", "signed": "2024-02-29", "title": "meta", "version": "v10", "": "x"}},
		{Format: "pdf", Pages: 11, Metadata: map[string]string{"team": "ops", "year": "2025", "owner": "", "signed": "2024-03-01T00:00:00Z"}},
		{Title: "年假", Language: "zh", Bytes: 10_000, Metadata: map[string]string{"team": "Sales", "owner": "bob", "price": "10", "version": "v8"}},
		{Format: "md", Metadata: map[string]string{"year": "soon", `a"b'c`: `\d "q" %d`, "team": "sal\x00es"}},
		{},
	} {
		d.Path = []string{"reports/2025/North Sea.pdf", "reports/b", "年假/c", "d", "e"}[i]
		stored, err := put(t.Context(), s, "c", d, fmt.Sprintf("leave rule %d\nleave again\n", i))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, stored)
	}
	texts := slices.Collect(maps.Keys(filters))
	year := time.Now().UTC().Year()
	texts = append(texts, `"a\"b'c" = '\\d "q" %d'`, "team = 'sal es'", "team exists", "year exists and not year = soon", "title < M", "title >= 年", "owner prefix ''",
		fmt.Sprintf("updated <= %d and added >= %d", year+1, year), fmt.Sprintf("updated = %d", year), fmt.Sprintf("added > %d", year), "added < 9999", "added > 1500", "pages in (11, 12, 13)", "pages != 12", "bytes exists", "not (pages < 12 or team = ops)",
		"id = "+docs[2].ID, fmt.Sprintf("added >= %s", docs[2].AddedAt.Format(time.RFC3339Nano)), fmt.Sprintf("added < %s", docs[2].AddedAt.Add(100).Format(time.RFC3339Nano)))
	for _, text := range texts {
		f, err := retriever.ParseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var want []string
		for _, d := range docs {
			match, err := f.Matches(d)
			if err != nil {
				t.Fatal(err)
			}
			if match {
				want = append(want, d.Path, d.Path)
			}
		}
		slices.Sort(want)
		for _, m := range modes {
			hits, err := s.Search(t.Context(), "c", "leave", retriever.WithMode(m), retriever.Where(f), retriever.TopK(100))
			if err != nil {
				t.Errorf("%s, %s: %v", text, m, err)
				continue
			}
			var got []string
			for _, h := range hits {
				got = append(got, h.Document.Path)
			}
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Errorf("%s, %s: finds %q, want %q", text, m, got, want)
			}
		}
	}
}
