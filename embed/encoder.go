package embed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"docent/internal/tokenizer"

	"github.com/tmc/langchaingo/embeddings"
)

// An Encoder turns texts into vectors of unit length. It is safe for concurrent use.
type Encoder struct {
	name        string
	fingerprint string
	languages   []string
	tok         tokenizer.Tokenizer
	model       *model
	dim         int
	prompts     prompts
	source      string // of the prompts
	prefix      []int32
	suffix      []int32
	maxText     int // tokens of a text with its prompt, without the special ones
	docPrompt   int // tokens of the prompt of documents
	sched       *scheduler
}

var _ embeddings.Embedder = (*Encoder)(nil)

// Load reads a model: a checkpoint folder or a GGUF file.
//
// A checkpoint folder has config.json, tokenizer.json or vocab.txt, model.safetensors or the files that
// model.safetensors.index.json names, and where present sentence-transformers' modules.json with the
// pooling, dense layers and length it refers to (without them: mean pooling, as many tokens as the model
// has positions) and its prompts. Weights are float32, float16 or bfloat16, or int8 with scales as
// scripts/convert_minilm.py writes.
//
// A GGUF file, or a folder with one in place of safetensors, has the architecture bert, nomic-bert or
// jina-bert-v2 as llama.cpp's converter writes them. Quantised weights become float32 as they are read,
// or int8 with [Int8].
//
// [Architectures] lists what is supported. Errors name the file and tensor that is wrong. The name of
// the folder or file becomes the encoder's. Files are mapped into memory, and a float32 table of word
// embeddings stays there: replace a model's files by renaming, do not write into them.
//
// Prompts of queries and documents come from the option, else from config_sentence_transformers.json,
// else for the families E5, BGE, nomic-embed-text v1, mxbai and Snowflake Arctic v1 from the model's
// name; [Encoder.Info] shows them.
func Load(path string, opts ...Option) (*Encoder, error) {
	e, err := load(path, opts)
	if err != nil {
		return nil, fmt.Errorf("load encoder %s: %w", path, err)
	}
	return e, nil
}

func load(path string, opts []Option) (*Encoder, error) {
	c, err := openCheckpoint(path, false)
	if err != nil {
		return nil, err
	}
	e, err := newEncoder(&c.checkpoint, opts)
	if err != nil {
		c.files.Close()
		return nil, err
	}
	e.setFingerprint(c.files.digest())
	e.model.keep(c.files)
	return e, nil
}

// setFingerprint takes the digest of the weights.
func (e *Encoder) setFingerprint(sum string) {
	if e.source == promptsGiven {
		sum = mixed(sum, e.prompts.query, e.prompts.document)
	}
	e.fingerprint = e.name + "@" + sum
}

// newEncoder builds an encoder without a fingerprint.
func newEncoder(c *checkpoint, opts []Option) (*Encoder, error) {
	var o options
	for _, set := range opts {
		set(&o)
	}
	cfg := c.cfg
	cfg.precision = o.precision
	m, err := loadModel(c.weights, cfg)
	if err != nil {
		return nil, err
	}
	e := &Encoder{name: c.name, tok: c.tok, model: m, dim: cfg.dim(), languages: c.languages}
	if err := e.configure(o); err != nil {
		return nil, err
	}
	e.prefix, e.suffix = e.tok.Specials()
	e.maxText = cfg.maxTokens - len(e.prefix) - len(e.suffix)
	e.docPrompt = len(e.tok.Append(nil, e.prompts.document, -1))
	if left := e.maxText - max(e.docPrompt, len(e.tok.Append(nil, e.prompts.query, -1))); left < 1 {
		return nil, fmt.Errorf("max_seq_length %d leaves no room for text", cfg.maxTokens)
	}
	if len(e.prefix)+len(e.suffix) == 0 {
		return nil, errors.New("the tokenizer adds no special tokens: an empty text would have none")
	}
	e.start()
	return e, nil
}

// start gives the encoder its workers, as many as there are cores.
func (e *Encoder) start() {
	e.sched = newScheduler(e.dim, runtime.GOMAXPROCS(0), e.guess, e.run)
}

// Name is the model's name, such as "all-MiniLM-L6-v2-int8".
func (e *Encoder) Name() string { return e.name }

// Fingerprint tells encoders apart whose vectors must not be mixed: the name, "@", and the first 8 hex
// digits of the SHA-256 of the weights file.
func (e *Encoder) Fingerprint() string { return e.fingerprint }

// Dim is the number of values of a vector.
func (e *Encoder) Dim() int { return e.dim }

// MaxTokens is the most tokens of a document that are read, not counting special tokens and the prompt.
func (e *Encoder) MaxTokens() int { return e.maxText - e.docPrompt }

// Languages are the ISO 639-1 codes of the languages the model was trained on; empty when it does not
// say.
func (e *Encoder) Languages() []string { return slices.Clone(e.languages) }

// TokenStarts appends to dst the byte offset at which each token of text begins, special tokens left
// out. Offsets never fall; pieces of one rune share its offset. All of text is read, not only what fits
// a passage.
func (e *Encoder) TokenStarts(dst []int, text string) []int { return e.tok.AppendStarts(dst, text) }

// EmbedQuery embeds one text, with the prompt of queries before it where the model has one.
func (e *Encoder) EmbedQuery(ctx context.Context, text string) ([]float32, error) {
	out, err := e.embed(ctx, []string{e.prompts.query + text}, nil)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// EmbedDocuments embeds texts: one vector of Dim values and length 1 for each, in order. Text past
// MaxTokens is cut; an empty text has a vector like any other. Where the model has a prompt for
// documents, it is put before each. When ctx ends first, the error is its cause and no vectors are
// returned.
func (e *Encoder) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	return e.embed(ctx, e.prompted(texts), nil)
}

// EmbedDocumentsProgress is [Encoder.EmbedDocuments] for callers that show how far it is: while it works it calls
// progress, from the caller's goroutine, with how many texts are done, when that has grown and at most ten times
// a second.
func (e *Encoder) EmbedDocumentsProgress(ctx context.Context, texts []string, progress func(done int)) ([][]float32, error) {
	var count atomic.Int64
	var vectors [][]float32
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		vectors, err = e.embed(ctx, e.prompted(texts), &count)
	}()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for told := int64(0); ; {
		select {
		case <-ended:
			return vectors, err
		case <-tick.C:
			if n := count.Load(); n > told {
				told = n
				progress(int(n))
			}
		}
	}
}

// progressEvery is the least time between two reports of progress.
const progressEvery = 100 * time.Millisecond

// EmbedInto is [Encoder.EmbedDocuments] for callers with memory of their own: it writes the vectors to
// dst, one after the other, Dim values each, and allocates nothing once the encoder has run at such a
// size, unless the model has a prompt for documents. It panics when dst is shorter than that; on an
// error dst holds nothing of use.
func (e *Encoder) EmbedInto(ctx context.Context, dst []float32, texts []string) error {
	if len(dst) < len(texts)*e.dim {
		panic(fmt.Sprintf("embed: EmbedInto: %d values for %d texts of %d", len(dst), len(texts), e.dim))
	}
	return e.embedInto(ctx, dst, e.prompted(texts), nil)
}

// prompted puts the prompt of documents before texts.
func (e *Encoder) prompted(texts []string) []string {
	p := e.prompts.document
	if p == "" {
		return texts
	}
	texts = slices.Clone(texts)
	for i, t := range texts {
		texts[i] = p + t
	}
	return texts
}

// embed embeds texts that have their prompts, and counts those that are done.
func (e *Encoder) embed(ctx context.Context, texts []string, count *atomic.Int64) ([][]float32, error) {
	out := make([][]float32, len(texts))
	dst := make([]float32, len(texts)*e.dim)
	for i := range out {
		out[i] = dst[i*e.dim : (i+1)*e.dim : (i+1)*e.dim]
	}
	if err := e.embedInto(ctx, dst, texts, count); err != nil {
		return nil, err
	}
	return out, nil
}

func (e *Encoder) embedInto(ctx context.Context, dst []float32, texts []string, count *atomic.Int64) error {
	if len(texts) == 0 {
		return nil
	}
	bad, err := e.sched.do(ctx, texts, dst, count)
	if errors.Is(err, errNoVector) {
		return fmt.Errorf("embed text %d: %w", bad, err)
	}
	return err
}

// guess estimates the tokens of a text from its length. English has over four bytes a token.
func (e *Encoder) guess(text string) int { return min(len(text)/4, e.maxText) + 2 }

// run writes the vectors of a worker's texts to out. When one has none, bad is that text.
func (e *Encoder) run(ctx context.Context, s *scratch, texts []string, out []float32) (bad int, err error) {
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
			return done, err
		}
		begin, h := 0, e.model.cfg.Hidden
		for _, end := range s.ends {
			if err := e.model.vector(s, out[done*e.dim:(done+1)*e.dim], s.x[begin*h:end*h]); err != nil {
				return done, err
			}
			begin = end
			done++
		}
	}
	return 0, nil
}
