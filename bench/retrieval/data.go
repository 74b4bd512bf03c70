package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The data of a run: vectors drawn around centres, as those of real texts lie, and texts of words that are
// frequent and rare as Zipf's law has it. Everything follows from the seeds.
const (
	dim       = 384
	centres   = 2000
	questions = 1000
	words     = 60 // of a text
)

func unit(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

// vectors yields the vectors of chunks, or of questions.
func vectors(seed uint64, n int, yield func(i int, v []float32) error) error {
	rnd := rand.New(rand.NewPCG(1, 1))
	around := make([][]float32, centres)
	for i := range around {
		around[i] = make([]float32, dim)
		for j := range around[i] {
			around[i][j] = float32(rnd.NormFloat64())
		}
		unit(around[i])
	}
	rnd = rand.New(rand.NewPCG(seed, 2))
	for i := range n {
		c, v := around[rnd.IntN(centres)], make([]float32, dim)
		for j := range v {
			v[j] = c[j] + float32(rnd.NormFloat64())*0.04
		}
		if err := yield(i, unit(v)); err != nil {
			return err
		}
	}
	return nil
}

// texts returns a function that makes texts of n words.
func texts(seed uint64) func(n int) string {
	rnd := rand.New(rand.NewPCG(seed, 3))
	zipf := rand.NewZipf(rnd, 1.1, 4, 500_000)
	return func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(word(zipf.Uint64()))
			b.WriteByte(' ')
		}
		return b.String()
	}
}

// word spells a number in syllables; the most frequent are English stop words, as in texts.
func word(n uint64) string {
	common := []string{"the", "of", "and", "to", "in", "a", "is", "for", "on", "that", "by", "with"}
	if n < uint64(len(common)) {
		return common[n]
	}
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b []byte
	for n += 60; n > 0; n /= uint64(len(consonants) * len(vowels)) {
		k := n % uint64(len(consonants)*len(vowels))
		b = append(b, consonants[k/uint64(len(vowels))], vowels[k%uint64(len(vowels))])
	}
	return string(b)
}

// writeVectors writes a file of float32, little endian, for the peers.
func writeVectors(path string, seed uint64, n int) error {
	if info, err := os.Stat(path); err == nil && info.Size() == int64(n)*dim*4 {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := vectors(seed, n, func(_ int, v []float32) error { return binary.Write(w, binary.LittleEndian, v) }); err != nil {
		return err
	}
	return w.Flush()
}

const (
	chunkSeed    = 11
	questionSeed = 12
)

// asked are the questions: a text, which begins with the number of its vector.
type asked struct {
	text   []string
	vector [][]float32
}

func questionsOf() asked {
	var a asked
	say := texts(questionSeed)
	_ = vectors(questionSeed, questions, func(i int, v []float32) error {
		a.text = append(a.text, fmt.Sprintf("q%d %s", i, say(8)))
		a.vector = append(a.vector, v)
		return nil
	})
	return a
}

// encoder knows the questions' vectors.
type encoder struct{ asked }

func (e encoder) Fingerprint() string { return "bench@1" }
func (e encoder) Dim() int            { return dim }
func (e encoder) Languages() []string { return nil }

func (e encoder) EmbedQuery(_ context.Context, text string) ([]float32, error) {
	number, _, _ := strings.Cut(strings.TrimPrefix(text, "q"), " ")
	i, err := strconv.Atoi(number)
	if err != nil || i >= len(e.vector) {
		return nil, fmt.Errorf("no vector for %q", text)
	}
	return append([]float32(nil), e.vector[i]...), nil
}

func (e encoder) EmbedDocuments(context.Context, []string) ([][]float32, error) {
	return nil, fmt.Errorf("chunks come with their vectors")
}

func file(dir, name string, chunks int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d", name, chunks))
}
