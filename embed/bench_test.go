package embed

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// english makes n texts of some tokens each.
func english(n, tokens int) []string {
	words := strings.Fields("the quick brown fox returns money within five working days of a written cancellation notice")
	texts := make([]string, n)
	for i := range texts {
		var b strings.Builder
		for j := range tokens {
			b.WriteString(words[(i*7+j*(i%5+1))%len(words)])
			b.WriteByte(' ')
		}
		texts[i] = b.String()
	}
	return texts
}

func BenchmarkEmbed(b *testing.B) {
	ctx := context.Background()
	for name, enc := range benchEncoders(b) {
		for _, s := range []struct{ n, tokens int }{{1, 10}, {1, 126}, {32, 126}} {
			b.Run(fmt.Sprintf("%s/%dx%d", name, s.n, s.tokens+2), func(b *testing.B) {
				texts := english(s.n, s.tokens)
				tokens := 0
				for _, t := range texts {
					tokens += len(enc.TokenStarts(nil, t)) + 2
				}
				for b.Loop() {
					if _, err := enc.EmbedDocuments(ctx, texts); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(tokens)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}

func benchEncoders(tb testing.TB) map[string]*Encoder {
	int8, err := Builtin()
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]*Encoder{"int8": int8}
	if dir := minilmDir(); dir != "" {
		if out["float32"], err = Load(dir); err != nil {
			tb.Fatal(err)
		}
		if out["bf16"], err = Load(dir, BF16()); err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

func BenchmarkTokenStarts(b *testing.B) {
	enc, err := Builtin()
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Join(english(20, 200), "\n")
	b.SetBytes(int64(len(text)))
	var starts []int
	for b.Loop() {
		starts = enc.TokenStarts(starts[:0], text)
	}
	b.ReportMetric(float64(len(starts))*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
