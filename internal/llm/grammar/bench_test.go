package grammar_test

import (
	"math/rand/v2"
	"testing"

	"docent/internal/llm/grammar"
)

// large is a vocabulary of 128,000 pieces whose lengths and letters are about those of Llama 3's.
func large() *grammar.Vocabulary {
	r := rand.New(rand.NewPCG(9, 9))
	seen := map[string]bool{}
	pieces := make([][]byte, 256, 128_000)
	for b := range pieces {
		pieces[b] = []byte{byte(b)}
	}
	const common = "eeeeeettttaaaooiinnssrrhhllddccuummffppggwwyybbvvkxjqz"
	marks := []string{`"`, `":`, `",`, `": "`, `{`, `}`, `},`, `[`, `]`, `\n`, "\n", "  ", ".", ",", "(", ")", "=", `\`, "/"}
	for len(pieces) < cap(pieces)-1 {
		var b []byte
		switch k := r.IntN(100); {
		case k < 55:
			b = append(b, ' ')
			fallthrough
		case k < 80:
			for range 2 + r.IntN(7) {
				b = append(b, common[r.IntN(len(common))])
			}
		case k < 92: // other scripts
			for range 1 + r.IntN(4) {
				b = append(b, string(rune(0x4E00+r.IntN(4000)))...)
			}
		case k < 94:
			for range 1 + r.IntN(3) {
				b = append(b, byte('0'+r.IntN(10)))
			}
		default:
			for range 1 + r.IntN(3) {
				b = append(b, marks[r.IntN(len(marks))]...)
			}
			if r.IntN(2) == 0 {
				b = append(b, common[r.IntN(len(common))])
			}
		}
		if !seen[string(b)] {
			seen[string(b)] = true
			pieces = append(pieces, b)
		}
	}
	return grammar.NewVocabulary(append(pieces, nil), []int32{int32(len(pieces))})
}

const person = `{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}, "email": {"type": "string", "format": "email"},
	"tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 5}, "address": {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}, "required": ["city"]}},
	"required": ["name", "age", "tags"]}`

// BenchmarkMask follows whole texts: "first" with nothing known, as for a schema that is new, "again" as
// for one that was used before. A token is one mask applied to 128,000 logits, and one step.
func BenchmarkMask(b *testing.B) {
	v := large()
	for _, c := range []struct {
		name  string
		build func() (*grammar.Grammar, error)
	}{
		{"json", func() (*grammar.Grammar, error) { return grammar.JSON(true), nil }},
		{"schema", func() (*grammar.Grammar, error) { return grammar.Schema([]byte(person)) }},
		{"regex", func() (*grammar.Grammar, error) {
			return grammar.Regex(`\d{4}-\d{2}-\d{2}: [A-Z][a-z]+( [a-z]+){3,8}\.`)
		}},
	} {
		for _, first := range []bool{true, false} {
			name := c.name + "/again"
			if first {
				name = c.name + "/first"
			}
			b.Run(name, func(b *testing.B) {
				g, err := c.build()
				if err != nil {
					b.Fatal(err)
				}
				logits := make([]float32, v.Size())
				tokens := 0
				for b.Loop() {
					if first {
						if g, err = c.build(); err != nil {
							b.Fatal(err)
						}
					}
					tokens += len(walkTokens(b, g, v, rand.New(rand.NewPCG(1, 1)), 100, logits))
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(tokens), "µs/token")
			})
		}
	}
}

func BenchmarkVocabulary(b *testing.B) {
	v := large()
	pieces := make([][]byte, v.Size())
	for id := range pieces {
		pieces[id] = v.Piece(int32(id))
	}
	for b.Loop() {
		grammar.NewVocabulary(pieces, nil)
	}
}
