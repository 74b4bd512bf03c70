package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docent/chain"
	"docent/internal/llm"
	"docent/internal/llm/llmtest"
)

// TestServeManyReaders: sixteen readers ask a model file at once, over HTTP. Those who stay get the whole answer
// that they get alone; what is computed for those who leave in the middle ends.
func TestServeManyReaders(t *testing.T) {
	h := newHome(t)
	h.write("rules.md", "# Holidays\n\nEverybody has thirty days of holiday a year.\n")
	h.ok("--encoder", "none", "ingest", "rules.md")
	model := llmtest.Random(t, filepath.Join(t.TempDir(), "random.gguf"))
	url, stop := h.serve("--encoder", "none", "--model-provider", "local", "--model", model, "--model-context", "1536", "--model-parallel", "4")
	status := func() llm.Status {
		t.Helper()
		resp, err := http.Get(url + "/api/status")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body struct{ Model *llm.Status }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Model == nil {
			t.Fatal(body, err)
		}
		return *body.Model
	}
	// idle waits until nobody is answered.
	idle := func() llm.Status {
		t.Helper()
		for range 1000 {
			if s := status(); s.Requests.Running == 0 && s.Requests.Waiting == 0 && s.Requests.Held == 0 {
				return s
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("somebody is still answered: %+v", status())
		return llm.Status{}
	}
	type answer struct {
		Text  string `json:"answer"`
		Usage struct {
			Completion int `json:"completion_tokens"`
		}
	}
	// ask reads the answer's events; after some of its tokens it leaves, if leave is positive.
	ask := func(question string, leave int) (got answer, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		body, _ := json.Marshal(map[string]string{"collection": "default", "question": question})
		req, err := http.NewRequestWithContext(ctx, "POST", url+"/api/ask", bytes.NewReader(body))
		if err != nil {
			return got, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return got, err
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		event, tokens := "", 0
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = name
				continue
			}
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			switch {
			case !ok:
			case event == "token":
				if tokens++; tokens == leave {
					return got, nil
				}
			case event == "done":
				var done struct{ Answer answer }
				return done.Answer, json.Unmarshal([]byte(data), &done)
			case event == "error":
				return got, fmt.Errorf("the answer ended with %s", data)
			}
		}
		return got, fmt.Errorf("the answer broke off: %v", lines.Err())
	}

	questions := []string{"How many days of holiday?", "How long is a holiday?", "Who has holidays?", "What has everybody?"}
	alone := map[string]answer{}
	for _, q := range questions {
		a, err := ask(q, 0)
		if err != nil || a.Usage.Completion < 300 {
			t.Fatalf("%+v, %v: too short to leave in its middle", a, err)
		}
		alone[q] = a
	}
	before := idle()
	if _, err := ask(questions[0], 1); err != nil {
		t.Fatal(err)
	}
	after := idle()
	if cost, whole := after.Requests.Computed-before.Requests.Computed, alone[questions[0]].Usage.Completion; int(cost) > whole/2 {
		t.Errorf("%d tokens were computed for a reader who left after the first; the whole answer has %d", cost, whole)
	}

	var readers sync.WaitGroup
	for i := range 16 {
		readers.Go(func() {
			q := questions[i%len(questions)]
			if i%3 == 2 {
				if _, err := ask(q, 1+i); err != nil {
					t.Errorf("reader %d, who leaves: %v", i, err)
				}
				return
			}
			if got, err := ask(q, 0); err != nil || got != alone[q] {
				t.Errorf("reader %d: %+v, %v; alone %+v", i, got, err, alone[q])
			}
		})
	}
	readers.Wait()
	if s := idle(); s.Requests.Reused == 0 || s.Memory.Weights == 0 {
		t.Errorf("%+v", s)
	}
	resp, err := http.Post(url+"/api/ask", "application/json", strings.NewReader(`{"collection":"default","question":"Has everybody holidays?","choices":["yes","no"],"adapter":"none","stream":false}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var chosen chain.Answer
	if err := json.NewDecoder(resp.Body).Decode(&chosen); err != nil || len(chosen.Choices) != 2 || chosen.Choices[0].Text != chosen.Text ||
		math.Abs(chosen.Choices[0].Probability+chosen.Choices[1].Probability-1) > 1e-9 || chosen.Choices[1].Probability == 0 {
		t.Errorf("of two choices: %+v, %v", chosen, err)
	}
	if code := stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}
