package main_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// evalReport is what a program reads of eval --json.
type evalReport struct {
	Configurations []struct {
		Name     string            `json:"name"`
		Settings map[string]string `json:"settings"`
	} `json:"configurations"`
	Interrupted bool `json:"interrupted"`
	Differences []struct {
		Set           string  `json:"set"`
		Configuration string  `json:"configuration"`
		Mean          float64 `json:"mean"`
		Queries       int     `json:"queries"`
		Worse         int     `json:"worse"`
	} `json:"differences"`
	Reports []struct {
		Set           string             `json:"set"`
		Configuration string             `json:"configuration"`
		Encoder       string             `json:"encoder"`
		Chunks        int                `json:"chunks"`
		Judged        int                `json:"judged"`
		Answered      int                `json:"answered"`
		Metrics       map[string]float64 `json:"metrics"`
		Results       []struct {
			ID     string `json:"id"`
			Answer *struct {
				Refused bool     `json:"refused"`
				Cited   []string `json:"cited"`
			} `json:"answer"`
		} `json:"results"`
	} `json:"reports"`
}

// evalSet writes a set of three documents. The last question shares no word with its document, and only its
// meaning finds it.
func evalSet(h *home, name string) {
	h.write(name+"/corpus.jsonl", `{"_id":"d1","title":"Leave","text":"Everyone has 25 days of annual leave a year. It is agreed with the manager."}
{"_id":"d2","title":"Canteen","text":"The soup of the day costs three pounds at lunch."}
{"_id":"d3","title":"Parking","text":"The garage for vehicles opens at seven."}
`)
	h.write(name+"/queries.jsonl", `{"_id":"q1","text":"How many days of leave are there?"}
{"_id":"q2","text":"What does the soup cost?"}
{"_id":"q3","text":"Nobody judged this one."}
{"_id":"q4","text":"What is the population of Norway?"}
{"_id":"q5","text":"Where can my car stay?"}
`)
	h.write(name+"/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\nq5\td3\t1\n")
	h.write(name+"/answers.jsonl", `{"_id":"q1","answers":["25 days"]}
{"_id":"q2","answers":["three pounds"]}
{"_id":"q4","answers":[],"unanswerable":true}
`)
}

func TestEval(t *testing.T) {
	h := newHome(t)
	evalSet(h, "set")
	got := decode[evalReport](t, h.ok("eval", "--json", "set"))
	r := got.Reports[0]
	if len(got.Reports) != 1 || len(got.Differences) != 0 || r.Set != "set" || r.Configuration != "defaults" || r.Judged != 3 || r.Chunks != 3 || r.Answered != 0 || r.Metrics["ndcg@10"] != 1 || r.Metrics["recall@5"] != 1 {
		t.Errorf("%+v", got)
	}
	if table := h.ok("eval", "--set", "mode=keyword", "set"); !strings.Contains(table, "mode=keyword   0.6667") {
		t.Errorf("table:\n%s", table)
	}
	// A gate fails the command, after the figures.
	if table := h.ok("eval", "--gate", "recall@5>=.85,ndcg@10>=1", "set"); !strings.Contains(table, "1.0000") {
		t.Errorf("table:\n%s", table)
	}
	h.fails(1, []string{"set, mode=keyword: recall@5 is 0.6667, want 0.85"}, "eval", "--set", "mode=keyword", "--gate", "recall@5>=.85", "set")
	h.fails(1, []string{"citation_precision was not measured", "--answers"}, "eval", "--gate", "citation_precision>=.9", "set")
	h.ok("eval", "--answers", "--model-provider", "extractive", "--gate", "citation_precision>=.9", "set")
	h.fails(1, []string{"no metric"}, "eval", "--gate", "recall>=.9", "set")
}

func TestEvalCompares(t *testing.T) {
	h := newHome(t)
	evalSet(h, "one")
	evalSet(h, "two")
	args := []string{"eval", "--answers", "--model-provider", "extractive", "--compare", "base", "--compare", "words: mode=keyword chunks.strategy=sentence", "--compare", "encoder=none mode=keyword", "--plot", "plot.svg", "one", "two"}
	got := decode[evalReport](t, h.ok(append([]string{"--json"}, args...)...))
	if len(got.Reports) != 6 || len(got.Differences) != 6 || got.Interrupted {
		t.Fatalf("%d reports, %d differences, interrupted %v", len(got.Reports), len(got.Differences), got.Interrupted)
	}
	if c := got.Configurations[1]; c.Name != "words" || c.Settings["mode"] != "keyword" || c.Settings["chunks.strategy"] != "sentence" {
		t.Errorf("%+v", c)
	}
	for i, r := range got.Reports {
		if want := []string{"one", "two"}[i/3]; r.Set != want || r.Configuration != got.Configurations[i%3].Name {
			t.Errorf("report %d is of %s, %s", i, r.Set, r.Configuration)
		}
		if r.Answered != 3 || len(r.Results) != 4 || r.Metrics["holds"] != 1 || r.Metrics["citation_precision"] != 1 || r.Metrics["citation_recall"] != 1 || r.Metrics["refusal_recall"] != 1 {
			t.Errorf("report %d: %+v", i, r)
		}
	}
	if base, words, none := got.Reports[0], got.Reports[1], got.Reports[2]; base.Chunks != 3 || words.Chunks != 4 || none.Chunks != 3 || none.Encoder != "no encoder" || base.Encoder == none.Encoder {
		t.Errorf("%+v\n%+v\n%+v", base, words, none)
	}
	for _, d := range got.Differences {
		queries := 3
		if d.Set == "" {
			queries = 6
		}
		if d.Mean > -0.33 || d.Mean < -0.34 || d.Queries != queries || d.Worse != queries/3 {
			t.Errorf("%+v", d)
		}
	}

	text := h.ok(args...)
	for _, want := range []string{"citation precision", "(mean of the sets)  words", "words loses most", "one q5: Where can my car stay?", "ranks d3: 1 > -"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	svg, err := os.ReadFile(filepath.Join(h.work, "plot.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	if n := strings.Count(string(svg), "<g><title>"); n != 6 {
		t.Errorf("%d bars", n)
	}
}

// TestEvalUntilStopped interrupts a run in its second set: what is done by then is printed.
func TestEvalUntilStopped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no interrupt that one process could send another")
	}
	h := newHome(t)
	evalSet(h, "one")
	evalSet(h, "two")
	asked, stuck := 0, make(chan struct{})
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/models") {
			fmt.Fprint(w, `{"object":"list","data":[{"id":"tiny","object":"model"}]}`)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that its client has gone
		if asked++; asked == 5 {           // the second question of the second set
			close(stuck)
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"25 days [1].\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	defer model.Close()
	cmd := h.command("eval", "--json", "--answers", "--model-url", model.URL+"/v1", "--set", "mode=keyword", "--set", "encoder=none", "--plot", "plot.svg", "one", "two")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stuck:
	case <-time.After(time.Minute):
		t.Error("the model is not asked a fifth time")
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(errs.String(), "stopped") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	got := decode[evalReport](t, out.String())
	if !got.Interrupted || len(got.Reports) != 2 {
		t.Fatalf("interrupted %v, %d reports", got.Interrupted, len(got.Reports))
	}
	if one := got.Reports[0]; one.Judged != 3 || one.Answered != 3 || one.Metrics["refusal_recall"] != 0 {
		t.Errorf("the first set: %+v", one)
	}
	if two := got.Reports[1]; two.Judged != 1 || two.Answered != 1 || len(two.Results) != 1 || two.Chunks != 3 || two.Metrics["exact"] != 1 {
		t.Errorf("the second set: %+v", two)
	}
	if _, err := os.Stat(filepath.Join(h.work, "plot.svg")); err != nil {
		t.Error(err)
	}
}

func TestEvalErrors(t *testing.T) {
	h := newHome(t)
	evalSet(h, "set")
	evalSet(h, "other/set")
	h.write("broken/corpus.jsonl", `{"_id":"d1"}`+"\n{")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{h.work}, []string{"corpus.jsonl"}},
		{[]string{"set", "broken"}, []string{filepath.Join("broken", "corpus.jsonl"), "line 2"}},
		{[]string{"set", "other/set"}, []string{"names of their folders"}},
		{[]string{"--compare", "a: ocr=off", "set"}, []string{`there is no "ocr"`, "chunks.strategy", "encoder", "mode"}},
		{[]string{"--compare", "a: hops", "set"}, []string{`"hops": want key=value`}},
		{[]string{"--compare", "a: hops=9", "set"}, []string{"hops should be from 0 to 4"}},
		{[]string{"--compare", "a", "--compare", "a: hops=2", "set"}, []string{"another configuration of that name"}},
		{[]string{"--set", "encoder=none", "set"}, []string{"needs an encoder"}},
		{[]string{"--set", "encoder=nowhere", "set"}, []string{"nowhere", "models list"}},
		{[]string{"--set", "reranker=nowhere", "set"}, []string{"nowhere", "models list"}},
		{[]string{"--set", "rerank=cross-encoder", "set"}, []string{"no reranker is configured"}},
		{[]string{"--set", "chunks.context=model", "set"}, []string{"not measured here"}},
	} {
		h.fails(1, c.want, append([]string{"eval"}, c.args...)...)
	}
	// What was measured before the error is shown.
	r := h.run("eval", "--json", "--compare", "mode=keyword encoder=none", "--compare", "encoder=nowhere", "set")
	if got := decode[evalReport](t, r.stdout); r.code != 1 || !got.Interrupted || len(got.Reports) != 1 {
		t.Errorf("exit %d: %+v", r.code, got)
	}
}
