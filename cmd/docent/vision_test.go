package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/math/fixed"
)

// visionServer speaks the part of the OpenAI protocol that reading a picture takes, and refuses a request
// that is not as the protocol has it.
func visionServer(t *testing.T, asked *atomic.Int32, answer func(img image.Image) string) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"reader-vl","object":"model"}]}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var in struct {
			Model       string   `json:"model"`
			Temperature *float64 `json:"temperature"`
			Messages    []struct {
				Role    string `json:"role"`
				Content []struct {
					Type     string `json:"type"`
					Text     string `json:"text"`
					ImageURL struct {
						URL string `json:"url"`
					} `json:"image_url"`
				} `json:"content"`
			} `json:"messages"`
		}
		refuse := func(format string, args ...any) {
			t.Errorf(format, args...)
			http.Error(w, `{"error":{"message":"bad request"}}`, http.StatusBadRequest)
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			refuse("the request is no chat completion: %v", err)
			return
		}
		if r.Header.Get("Authorization") != "Bearer brass-key" || in.Model != "reader-vl" || len(in.Messages) != 1 || in.Messages[0].Role != "user" || len(in.Messages[0].Content) != 2 {
			refuse("authorization %q, %+v", r.Header.Get("Authorization"), in)
			return
		}
		text, picture := in.Messages[0].Content[0], in.Messages[0].Content[1]
		data, ok := strings.CutPrefix(picture.ImageURL.URL, "data:image/png;base64,")
		raw, err := base64.StdEncoding.DecodeString(data)
		if text.Type != "text" || !strings.Contains(text.Text, "Write down all text") || picture.Type != "image_url" || !ok || err != nil {
			refuse("parts %q, %q, %v", text.Text, picture.Type, err)
			return
		}
		img, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			refuse("the picture cannot be decoded: %v", err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"id": "1", "object": "chat.completion", "model": in.Model,
			"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": answer(img)}}},
			"usage":   map[string]any{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
		})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// A picture is read by a vision model over the wire, and found by what is written in it.
func TestVisionServer(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 400, 60))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.Black), Face: inconsolata.Bold8x16, Dot: fixed.P(20, 30)}
	d.DrawString("The harbour opens at six.")
	var data bytes.Buffer
	if err := png.Encode(&data, img); err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	for name, content := range map[string][]byte{
		"sign.png":  data.Bytes(),
		"page.html": []byte(`<!doctype html><h1>Signs</h1><p>At the gate:</p><img src="data:image/png;base64,` + base64.StdEncoding.EncodeToString(data.Bytes()) + `">`),
	} {
		if err := os.WriteFile(filepath.Join(h.work, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var asked atomic.Int32
	server := visionServer(t, &asked, func(img image.Image) string {
		if img.Bounds().Dx() != 800 { // narrow pictures are made twice as large
			return fmt.Sprintf("a picture of %v", img.Bounds())
		}
		return "```\nThe harbour opens at six.\n```"
	})
	vision := []string{"--vision-url", server.URL + "/v1", "--vision-key", "brass-key"}
	for _, name := range []string{"sign.png", "page.html"} {
		if out := h.ok(append([]string{"extract", name}, vision...)...); !strings.Contains(out, "The harbour opens at six.") {
			t.Errorf("%s: %s", name, out)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("the model was asked %d times, want 2", asked.Load())
	}
	h.ok(append([]string{"ingest", "sign.png"}, vision...)...)
	if out := h.ok("search", "--json", "when does the harbour open"); !strings.Contains(out, "opens at six") {
		t.Errorf("not found: %s", out)
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/models") {
			fmt.Fprint(w, `{"data":[{"id":"reader-vl"}]}`)
			return
		}
		http.Error(w, `{"error":{"message":"this model takes no pictures"}}`, http.StatusBadRequest)
	}))
	defer broken.Close()
	if r := h.run("extract", "sign.png", "--vision-url", broken.URL+"/v1", "--vision-key", "k"); r.code != 1 || !strings.Contains(r.stderr, "takes no pictures") {
		t.Errorf("a server that refuses: exit %d, %s", r.code, r.stderr)
	}
}
