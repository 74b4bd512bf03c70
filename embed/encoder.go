package embed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"docent/internal/tensor"
	"docent/internal/tensor/safetensors"
	"docent/internal/tokenizer"

	"github.com/tmc/langchaingo/embeddings"
)

// An Encoder turns texts into vectors of unit length. It is safe for concurrent use.
type Encoder struct {
	name        string
	fingerprint string
	languages   []string
	tok         tokenizer.Tokenizer
	model       *bert
	prefix      []int32
	suffix      []int32
	maxText     int           // tokens of a text, without the special ones
	slots       chan *scratch // one for each worker; nil until first used
}

var _ embeddings.Embedder = (*Encoder)(nil)

// Load reads a checkpoint folder: config.json, tokenizer.json or vocab.txt, model.safetensors, and
// where present modules.json with the pooling and length it refers to (without them: mean pooling, as
// many tokens as the model has positions). The folder's name becomes the encoder's.
//
// BERT with WordPiece is supported, weights in float32, float16 or bfloat16, or in int8 with scales as
// scripts/convert_minilm.py writes. Errors name the file and tensor that is wrong.
func Load(dir string) (*Encoder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("load encoder: %w", err)
	}
	e, err := load(abs)
	if err != nil {
		return nil, fmt.Errorf("load encoder %s: %w", dir, err)
	}
	return e, nil
}

func load(dir string) (*Encoder, error) {
	name := filepath.Join(dir, "model.safetensors")
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("model.safetensors is not a file")
	}
	weights, err := safetensors.Open(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("model.safetensors: %w", err)
	}
	e, err := newEncoder(os.DirFS(dir), weights)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return nil, fmt.Errorf("model.safetensors: %w", err)
	}
	if e.name == "" {
		e.name = filepath.Base(dir)
	}
	e.fingerprint = e.name + "@" + hex.EncodeToString(sum.Sum(nil))[:8]
	return e, nil
}

// newEncoder builds an encoder without a fingerprint; its name is the one the weights carry, if any.
func newEncoder(dir fs.FS, weights *safetensors.File) (*Encoder, error) {
	cfg, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, err
	}
	if tok.Size() > cfg.Vocab {
		return nil, fmt.Errorf("the tokenizer has %d tokens, the model's vocab_size is %d", tok.Size(), cfg.Vocab)
	}
	model, err := loadBERT(weights, cfg)
	if err != nil {
		return nil, fmt.Errorf("model.safetensors: %w", err)
	}
	e := &Encoder{name: weights.Metadata["name"], tok: tok, model: model, languages: readLanguages(dir)}
	if s := weights.Metadata["languages"]; s != "" {
		e.languages = strings.Split(s, ",")
	}
	e.prefix, e.suffix = tok.Specials()
	e.maxText = cfg.maxTokens - len(e.prefix) - len(e.suffix)
	if e.maxText < 1 {
		return nil, fmt.Errorf("max_seq_length %d leaves no room for text", cfg.maxTokens)
	}
	if len(e.prefix)+len(e.suffix) == 0 {
		return nil, errors.New("the tokenizer adds no special tokens: an empty text would have none")
	}
	workers := runtime.GOMAXPROCS(0)
	e.slots = make(chan *scratch, workers)
	for range workers {
		e.slots <- nil
	}
	return e, nil
}

// Name is the model's name, such as "all-MiniLM-L6-v2-int8".
func (e *Encoder) Name() string { return e.name }

// Fingerprint tells encoders apart whose vectors must not be mixed: the name, "@", and the first 8 hex
// digits of the SHA-256 of the weights file.
func (e *Encoder) Fingerprint() string { return e.fingerprint }

// Dim is the number of values of a vector.
func (e *Encoder) Dim() int { return e.model.cfg.Hidden }

// MaxTokens is the most tokens of a text that are read, special tokens not counted.
func (e *Encoder) MaxTokens() int { return e.maxText }

// Languages are the ISO 639-1 codes of the languages the model was trained on; empty when it does not
// say.
func (e *Encoder) Languages() []string { return slices.Clone(e.languages) }

// TokenStarts appends to dst the byte offset at which each token of text begins, special tokens left
// out. Offsets never fall; pieces of one rune share its offset. All of text is read, not only what fits
// a passage.
func (e *Encoder) TokenStarts(dst []int, text string) []int { return e.tok.AppendStarts(dst, text) }

// EmbedQuery embeds one text.
func (e *Encoder) EmbedQuery(ctx context.Context, text string) ([]float32, error) {
	out, err := e.EmbedDocuments(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// groupTokens is about how many tokens run through the model together.
const groupTokens = 512

// EmbedDocuments embeds texts: one vector of Dim values and length 1 for each, in order. Text past
// MaxTokens is cut; an empty text has a vector like any other. When ctx ends first, the error is its
// cause and no vectors are returned.
func (e *Encoder) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	if len(texts) == 0 {
		return out, nil
	}
	workers := min(cap(e.slots), len(texts))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next int
	)
	// Few texts are shared out in small groups, so that all workers get some.
	total := 0
	for _, t := range texts {
		total += e.guess(t)
	}
	budget := min(groupTokens, max(total/workers, 64))
	// take hands out the next texts, about budget tokens of them.
	take := func() (from, to int) {
		mu.Lock()
		defer mu.Unlock()
		from = next
		for sum := 0; next < len(texts) && (next == from || sum+e.guess(texts[next]) <= budget); next++ {
			sum += e.guess(texts[next])
		}
		return from, next
	}
	work := func() {
		var s *scratch
		select {
		case s = <-e.slots:
		case <-ctx.Done():
			return
		}
		if s == nil {
			s = new(scratch)
		}
		defer func() { e.slots <- s }()
		for ctx.Err() == nil {
			from, to := take()
			if from == to {
				return
			}
			if err := e.run(ctx, s, texts[from:to], out[from:to]); err != nil {
				cancel(err)
				return
			}
		}
	}
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, nil
}

// guess estimates the tokens of a text from its length. English has over four bytes a token.
func (e *Encoder) guess(text string) int { return min(len(text)/4, e.maxText) + 2 }

// run embeds texts on one goroutine.
func (e *Encoder) run(ctx context.Context, s *scratch, texts []string, out [][]float32) error {
	for done := 0; done < len(texts); {
		s.ids, s.ends = s.ids[:0], s.ends[:0]
		for i := done; i < len(texts) && (i == done || len(s.ids) < groupTokens); i++ {
			s.ids = append(s.ids, e.prefix...)
			s.tokens = e.tok.Append(s.tokens[:0], texts[i], e.maxText)
			for _, t := range s.tokens {
				s.ids = append(s.ids, t.ID)
			}
			s.ids = append(s.ids, e.suffix...)
			s.ends = append(s.ends, len(s.ids))
		}
		if err := e.model.forward(ctx, s); err != nil {
			return err
		}
		begin, dim := 0, e.Dim()
		for i, end := range s.ends {
			v := make([]float32, dim)
			if e.model.cfg.pooling == poolCLS {
				copy(v, s.x[begin*dim:])
			} else {
				for t := begin; t < end; t++ {
					tensor.Axpy(v, s.x[t*dim:(t+1)*dim], 1)
				}
			}
			if !normalise(v) {
				return fmt.Errorf("embed text %d: the model gave no finite vector", done+i)
			}
			out[done+i] = v
			begin = end
		}
		done += len(s.ends)
	}
	return nil
}

// normalise scales v to length 1; it is false when v has no direction.
func normalise(v []float32) bool {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return false
	}
	inv := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * inv)
	}
	return true
}

// asInt8 reads bytes as the signed values they hold.
func asInt8(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}
