package grammar_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"docent/internal/llm/grammar"
)

func gbnf(t testing.TB, source string) *grammar.Grammar {
	t.Helper()
	g, err := grammar.GBNF(source)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGBNF(t *testing.T) {
	for _, c := range []struct {
		name, source string
		yes, no      []string
	}{
		{"literals", `root ::= "yes" | "no"`, []string{"yes", "no"}, []string{"", "y", "yesno", "Yes"}},
		{"repetition", `root ::= "a"? "b"* "c"+ "d"{2} "e"{1,2} "f"{2,}`, []string{"cddeff", "abbccddeefff"}, []string{"ddeff", "cdeff", "cddeeeff", "cddef", "aacddeff"}},
		{"classes", `root ::= [a-c\]x-] [^0-9\n] .`, []string{"a-z", "]éZ", "-日本", "x😀\n"}, []string{"d-z", "a0z", "a\nz", "ab"}},
		{"rules", "# a comment\nroot ::= expr # another\nexpr ::= term (\"+\" term)*\n\nterm ::= num | (\"(\" expr\n  \")\")\nnum ::= [0-9]+\n",
			[]string{"1", "1+2", "(1+(2+33))+4"}, []string{"+", "1+", "(1", "1)"}},
		{"continued", "root ::= \"a\" |\n  \"b\"", []string{"a", "b"}, []string{"ab"}},
		{"right recursion", `root ::= "a" root "b" | ""`, []string{"", "ab", strings.Repeat("a", 300) + strings.Repeat("b", 300)}, []string{"a", "aab", "abb"}},
		{"escapes", `root ::= "\x41\u00e9\U0001F600\"\\\n"`, []string{"Aé😀\"\\\n"}, []string{"Aé😀\"\\"}},
		{"unicode", `root ::= [一-龥]{2,3} | [\u0430-\u044f]+`, []string{"答案", "пример"}, []string{"答", "答案答案", "a答"}},
		{"empty parts", `root ::= (""* "x"?)* "y"`, []string{"y", "xy", "xxxy"}, []string{"x", ""}},
		{"ambiguous", `root ::= ("a" | "aa" | "aaa")* "b"`, []string{"b", strings.Repeat("a", 50) + "b"}, []string{"a"}},
		{"dead branches", "root ::= \"a\" never | \"b\"\nnever ::= \"x\" never", []string{"b"}, []string{"a", "ax"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gbnf(t, c.source)
			for _, s := range c.yes {
				if !g.Match(s) {
					t.Errorf("%q does not match", s)
				}
			}
			for _, s := range c.no {
				if g.Match(s) {
					t.Errorf("%q matches", s)
				}
			}
		})
	}
}

// TestLlamaGrammars: files in the manner of those that come with llama.cpp.
func TestLlamaGrammars(t *testing.T) {
	for _, c := range []struct{ source, yes, no string }{
		{`root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
`, "{\"a\": [1, -2.5e+3,\n  {\"b\\u00e9\": null}], \"c\":true}", `{"a": 01x}`},
		{"root  ::= (expr \"=\" ws term \"\\n\")+\nexpr  ::= term ([-+*/] term)*\nterm  ::= ident | num | \"(\" ws expr \")\" ws\nident ::= [a-z] [a-z0-9_]* ws\nnum   ::= [0-9]+ ws\nws    ::= [ \\t\\n]*\n", "a +(b*3) = 7\n\n1=x\n", "a + = 7\n"},
		{"root ::= item+\n\n# Excludes various line break characters\nitem ::= \"- \" [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ \"\\n\"", "- eins\n- zwei\n", "- \n"},
	} {
		g := gbnf(t, c.source)
		if !g.Match(c.yes) || g.Match(c.no) {
			t.Errorf("%.30s: %t, %t", c.source, g.Match(c.yes), g.Match(c.no))
		}
	}
}

func TestRefused(t *testing.T) {
	nested := func(open, middle, end string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	type form func(string) (*grammar.Grammar, error)
	schema := form(func(s string) (*grammar.Grammar, error) { return grammar.Schema([]byte(s)) })
	for _, c := range []struct {
		name   string
		parse  form
		source string
		want   error
	}{
		{"no root", grammar.GBNF, `rot ::= "a"`, grammar.ErrSyntax},
		{"undefined", grammar.GBNF, `root ::= missing`, grammar.ErrSyntax},
		{"twice", grammar.GBNF, "root ::= \"a\"\nroot ::= \"b\"", grammar.ErrSyntax},
		{"open text", grammar.GBNF, `root ::= "a`, grammar.ErrSyntax},
		{"open class", grammar.GBNF, `root ::= [a-`, grammar.ErrSyntax},
		{"open group", grammar.GBNF, `root ::= ("a"`, grammar.ErrSyntax},
		{"bad escape", grammar.GBNF, `root ::= "\q"`, grammar.ErrSyntax},
		{"bad range", grammar.GBNF, `root ::= [z-a]`, grammar.ErrSyntax},
		{"bad count", grammar.GBNF, `root ::= "a"{3,2}`, grammar.ErrSyntax},
		{"left recursion", grammar.GBNF, `root ::= root "a" | "b"`, grammar.ErrUnsupported},
		{"hidden left recursion", grammar.GBNF, "root ::= e a\na ::= e b \"x\" | \"z\"\nb ::= \"\"? a | \"y\"\ne ::= \"\"", grammar.ErrUnsupported},
		{"tokens", grammar.GBNF, `root ::= <think>`, grammar.ErrUnsupported},
		{"endless", grammar.GBNF, `root ::= "a" root`, grammar.ErrEmpty},
		{"nothing", grammar.GBNF, `root ::= [^\x00-\U0010FFFF]`, grammar.ErrEmpty},
		{"huge repetition", grammar.GBNF, `root ::= "a"{1000000000}`, grammar.ErrTooLarge},
		{"nested repetition", grammar.GBNF, `root ::= (((("ab"{1000}){1000}){1000}){1000}){1000}`, grammar.ErrTooLarge},
		{"deep", grammar.GBNF, "root ::= " + nested("(", `"a"`, ")", 100_000), grammar.ErrTooLarge},
		{"many operators", grammar.GBNF, `root ::= "a"` + strings.Repeat("?", 100_000), grammar.ErrTooLarge},
		{"large", grammar.GBNF, `root ::= "` + strings.Repeat("a", 2<<20) + `"`, grammar.ErrTooLarge},

		{"bad regex", grammar.Regex, `a(`, grammar.ErrSyntax},
		{"lookahead", grammar.Regex, `(?=a)b`, grammar.ErrSyntax},
		{"word border", grammar.Regex, `\bword\b`, grammar.ErrUnsupported},
		{"anchor within", grammar.Regex, `a^b`, grammar.ErrUnsupported},
		{"repeated repetition", grammar.Regex, `((a{1,1000}){1,1000}){1,1000}`, grammar.ErrSyntax},
		{"impossible", grammar.Regex, `[^\x00-\x{10FFFF}]`, grammar.ErrEmpty},

		{"not JSON", schema, `{"type": `, grammar.ErrSyntax},
		{"two values", schema, `{} {}`, grammar.ErrSyntax},
		{"a number", schema, `3`, grammar.ErrSyntax},
		{"no type", schema, `{"type": "text"}`, grammar.ErrSyntax},
		{"not kept to", schema, `{"type": "object", "properties": {"a": {"not": {}}}}`, grammar.ErrUnsupported},
		{"unique", schema, `{"type": "array", "uniqueItems": true}`, grammar.ErrUnsupported},
		{"unique of many", schema, `{"items": {"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9]}, "uniqueItems": true}`, grammar.ErrUnsupported},
		{"more unique than there are", schema, `{"items": {"type": "boolean"}, "uniqueItems": true, "minItems": 3}`, grammar.ErrEmpty},
		{"not of strings", schema, `{"type": "string", "not": {"const": "a"}}`, grammar.ErrUnsupported},
		{"not of a schema", schema, `{"type": "integer", "not": {"minimum": 3}}`, grammar.ErrUnsupported},
		{"two patterns", schema, `{"patternProperties": {"^a": {}, "^b": {}}}`, grammar.ErrUnsupported},
		{"members of a map", schema, `{"type": "object", "minProperties": 2}`, grammar.ErrUnsupported},
		{"more members than names", schema, `{"properties": {"a": {}}, "minProperties": 2}`, grammar.ErrUnsupported},
		{"thirds", schema, `{"type": "number", "multipleOf": 0.3}`, grammar.ErrUnsupported},
		{"multiples of a large number", schema, `{"type": "integer", "multipleOf": 1000}`, grammar.ErrUnsupported},
		{"multiples from a bound", schema, `{"type": "integer", "multipleOf": 3, "minimum": 5}`, grammar.ErrUnsupported},
		{"multiple of nothing", schema, `{"type": "integer", "multipleOf": "3"}`, grammar.ErrSyntax},
		{"two lengths", schema, `{"type": "string", "pattern": "^a+b+$", "maxLength": 3}`, grammar.ErrUnsupported},
		{"depends", schema, `{"type": "object", "dependentRequired": {"a": ["b"]}}`, grammar.ErrUnsupported},
		{"elsewhere", schema, `{"$ref": "https://example.com/schema"}`, grammar.ErrUnsupported},
		{"nowhere", schema, `{"$ref": "#/$defs/none"}`, grammar.ErrSyntax},
		{"reference to itself", schema, `{"$ref": "#"}`, grammar.ErrEmpty},
		{"endless object", schema, `{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}`, grammar.ErrEmpty},
		{"false", schema, `false`, grammar.ErrEmpty},
		{"contradiction", schema, `{"type": "integer", "minimum": 5, "maximum": 4}`, grammar.ErrEmpty},
		{"deep schema", schema, nested(`{"items":`, `{}`, `}`, 100), grammar.ErrTooLarge},
		{"deeper schema", schema, nested(`[`, ``, `]`, 100_000), grammar.ErrTooLarge},
		{"many references", schema, `{"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}`, grammar.ErrTooLarge},
		{"long string", schema, `{"type": "string", "minLength": 100000000}`, grammar.ErrTooLarge},
		{"long list", schema, `{"type": "array", "minItems": 100000000}`, grammar.ErrTooLarge},
		{"pattern and length", schema, `{"type": "string", "pattern": "a", "maxLength": 3}`, grammar.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.parse(c.source); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// letters is a vocabulary of every byte and of some longer pieces, as byte-level models have.
func letters(more ...string) *grammar.Vocabulary {
	pieces := make([][]byte, 256)
	for b := range pieces {
		pieces[b] = []byte{byte(b)}
	}
	for _, m := range append(more, `":`, `",`, `", "`, `"}`, `{"`, `": "`, `": `, "true", "false", "null", " the", "th", "ing", "  ", "\n", "\n  ", "12", "2024", "-", "00", "é", "日", "日本", "\xe6\x97", "\x9f\x98", `\u00`, `\"`, "]}", "}}", "[[", `[{"`, `":"`, `.5`, "e+", "  \n") {
		pieces = append(pieces, []byte(m))
	}
	end := int32(len(pieces))
	pieces = append(pieces, nil, nil) // one to end with, and one without text
	return grammar.NewVocabulary(pieces, []int32{end})
}

// walk lets chance choose among the tokens that the masks allow, and returns the text.
func walk(t testing.TB, g *grammar.Grammar, v *grammar.Vocabulary, r *rand.Rand, limit int) (text string, ended bool) {
	t.Helper()
	var b strings.Builder
	m := g.Matcher(v)
	for _, id := range walkTokens(t, g, v, r, limit, make([]float32, v.Size())) {
		b.Write(v.Piece(id))
		if err := m.Accept(id); err != nil {
			t.Fatal(err)
		}
	}
	return b.String(), m.CanEnd()
}

// walkTokens chooses among the allowed tokens, each as likely, up to the one that ends the text.
func walkTokens(t testing.TB, g *grammar.Grammar, v *grammar.Vocabulary, r *rand.Rand, limit int, logits []float32) (ids []int32) {
	t.Helper()
	m := g.Matcher(v)
	for left := limit; left > 0 && !m.Done(); left-- {
		clear(logits)
		if err := m.Mask(logits, left); err != nil {
			t.Fatalf("after %v: %v", ids, err)
		}
		// The first that is allowed from a place by chance on.
		best, from := int32(-1), r.IntN(len(logits))
		for i := range logits {
			if at := (from + i) % len(logits); logits[at] == 0 {
				best = int32(at)
				break
			}
		}
		if best < 0 {
			t.Fatalf("after %v no token may come", ids)
		}
		if err := m.Accept(best); err != nil {
			t.Fatalf("after %v: %v", ids, err)
		}
		if v.Piece(best) == nil {
			break
		}
		ids = append(ids, best)
	}
	return ids
}

// TestMask: a mask lets through exactly the tokens that leave a text which can be completed.
func TestMask(t *testing.T) {
	v := letters()
	for name, g := range map[string]*grammar.Grammar{
		"json":  grammar.JSON(false),
		"rules": gbnf(t, "root ::= (word \" \")+ \".\"\nword ::= [a-zé日]{1,6} | \"(\" root \")\""),
		"until": compile(t, grammar.Seq(grammar.Until("<t>"), grammar.Literal("12"), grammar.Avoid("</t>"))),
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 8))

			for range 40 {
				m := g.Matcher(v)
				for range 30 {
					if m.Done() {
						break
					}
					logits := make([]float32, v.Size())
					if err := m.Mask(logits, 1<<20); err != nil {
						t.Fatal(err)
					}
					var can []int32
					for id := range int32(v.Size()) {
						want := m.Clone().Accept(id) == nil
						if got := !math.IsInf(float64(logits[id]), -1); got != want {
							t.Fatalf("token %d %q: masked %t, accepted %t", id, v.Piece(id), !got, want)
						}
						if want && v.Piece(id) != nil {
							can = append(can, id)
						}
					}
					if len(can) == 0 {
						break
					}
					if err := m.Accept(can[r.IntN(len(can))]); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

func compile(t testing.TB, e grammar.Expr) *grammar.Grammar {
	t.Helper()
	g, err := grammar.Compile(e)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestDeadEnd: where the vocabulary lacks what the grammar wants, that is an error, not a wrong text.
func TestDeadEnd(t *testing.T) {
	v := grammar.NewVocabulary([][]byte{[]byte("a"), []byte("b"), nil}, []int32{2})
	m := gbnf(t, `root ::= "a" "é"`).Matcher(v)
	logits := make([]float32, 3)
	if err := m.Mask(logits, 9); err != nil || !math.IsInf(float64(logits[1]), -1) || logits[0] != 0 {
		t.Fatal(logits, err)
	}
	if err := m.Accept(1); !errors.Is(err, grammar.ErrDeadEnd) {
		t.Error(err)
	}
	if err := m.Accept(0); err != nil {
		t.Fatal(err)
	}
	if err := m.Accept(2); !errors.Is(err, grammar.ErrDeadEnd) {
		t.Error("ended early:", err)
	}
	if err := m.Mask(make([]float32, 3), 9); !errors.Is(err, grammar.ErrDeadEnd) || !strings.Contains(err.Error(), `"\xc3"`) {
		t.Error(err)
	}
}

// TestBudget: with few tokens left the text is brought to its end.
func TestBudget(t *testing.T) {
	v := letters()
	schema, err := grammar.Schema([]byte(`{"type": "object", "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
		"inner": {"type": "object", "properties": {"deep": {"type": "array", "items": {"$ref": "#"}}}, "required": ["deep"]}}, "required": ["title", "inner"]}`))
	if err != nil {
		t.Fatal(err)
	}
	shortest := len(`{"title":"","inner":{"deep":[]}}`)
	for _, g := range []*grammar.Grammar{schema, grammar.JSON(true), grammar.JSON(false)} {
		for limit := shortest; limit < shortest+40; limit++ {
			for seed := range uint64(5) {
				text, ended := walk(t, g, v, rand.New(rand.NewPCG(seed, 1)), limit)
				if !ended || !g.Match(text) {
					t.Fatalf("%d tokens: %q is not complete", limit, text)
				}
			}
		}
	}
	// Too few: the shortest way is taken, and what comes of it is said by CanEnd.
	if text, ended := walk(t, schema, v, rand.New(rand.NewPCG(1, 1)), 3); ended || !strings.HasPrefix(text, `{"`) {
		t.Errorf("%q, %t", text, ended)
	}
}

// TestAmbiguityIsBounded: where readings multiply, a mask ends soon, with an error or without.
func TestAmbiguityIsBounded(t *testing.T) {
	v := letters()
	for name, source := range map[string]string{
		"doubling": "root ::= s \"b\"\ns ::= \"a\" s \"x\" | \"a\" s \"y\" | \"a\" | \"c\"",
		"any":      "root ::= s \".\"\ns ::= [a-z] s [a-y] | [a-z] s [b-z] | [a-z] | \"(\" s \")\" s",
		"calls":    "root ::= a a a\na ::= b \"x\" | b \"y\"\nb ::= c \"x\" | c \"y\"\nc ::= d \"x\" | d \"y\"\nd ::= e \"x\" | e \"y\"\ne ::= [a-z]* | f \"x\" | f \"y\"\nf ::= [a-z]+ a? [a-z]*",
	} {
		t.Run(name, func(t *testing.T) {
			defer quick()()
			m := gbnf(t, source).Matcher(v)
			var err error
			for range 40 {
				if err = m.Mask(make([]float32, v.Size()), 1<<20); err != nil {
					break
				}
				if err = m.Accept('a'); err != nil {
					break
				}
			}
			if err != nil && !errors.Is(err, grammar.ErrAmbiguous) && !errors.Is(err, grammar.ErrDeadEnd) {
				t.Error(err)
			}
		})
	}
}

// TestTogether: many texts of one grammar at once, of two vocabularies.
func TestTogether(t *testing.T) {
	g, err := grammar.Schema([]byte(person))
	if err != nil {
		t.Fatal(err)
	}
	vocabularies := []*grammar.Vocabulary{letters(), letters("one", "more")}
	alone := make([]string, 16)
	for i := range alone {
		alone[i], _ = walk(t, g, vocabularies[i%2], rand.New(rand.NewPCG(uint64(i), 1)), 150)
	}
	var wg sync.WaitGroup
	for i, want := range alone {
		wg.Go(func() {
			if got, ended := walk(t, g, vocabularies[i%2], rand.New(rand.NewPCG(uint64(i), 1)), 150); got != want || !ended {
				t.Errorf("together %s, alone %s", got, want)
			}
		})
	}
	wg.Wait()
}

// TestManyTexts: long lists of words are no ambiguity.
func TestManyTexts(t *testing.T) {
	var words []string
	for i := range 10_000 {
		words = append(words, fmt.Sprintf(`"%x-%d"`, i*7919, i))
	}
	g, err := grammar.Schema([]byte(`{"enum": [` + strings.Join(words, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	v := letters()
	for seed := range uint64(20) {
		if text, ended := walk(t, g, v, rand.New(rand.NewPCG(seed, 1)), 60); !ended || !slices.Contains(words, text) {
			t.Errorf("%s", text)
		}
	}
}

func FuzzGBNF(f *testing.F) {
	for _, s := range []string{`root ::= "a" | [b-d]* (x)+` + "\nx ::= .{2,3}", `root ::= "\x41" #`, "root ::= ("} {
		f.Add(s, "abc")
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		defer quick()()
		g, err := grammar.GBNF(source)
		if err != nil {
			return
		}
		follow(t, g, text)
	})
}

func FuzzRegex(f *testing.F) {
	for _, s := range []string{`^a(b|c)*d{2,3}$`, `(?i)straße|[^a-z]`, `\d+\.\d*`, `(a*)*b`} {
		f.Add(s, "abc")
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		defer quick()()
		g, err := grammar.Regex(source)
		if err != nil {
			return
		}
		follow(t, g, text)
	})
}

func FuzzSchema(f *testing.F) {
	for _, s := range []string{`{"type": "object", "properties": {"a": {"$ref": "#"}}}`, `{"anyOf": [{"type": "string", "pattern": "^a"}, {"enum": [1, null]}]}`,
		`{"type": ["integer", "null"], "minimum": -3, "maximum": 1200}`, `{"allOf": [{"required": ["x"]}, {"properties": {"x": {"const": {"y": []}}}}]}`} {
		f.Add(s, `{"a":{}}`)
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		defer quick()()
		g, err := grammar.Schema([]byte(source))
		if err != nil {
			return
		}
		follow(t, g, text)
	})
}

// quick ends a test that takes long: small sources must not cost much. The caller calls stop.
func quick() (stop func() bool) {
	return time.AfterFunc(10*time.Second, func() { panic("it takes over 10 s") }).Stop
}

// follow checks that a grammar that was compiled can be walked to an end.
func follow(t *testing.T, g *grammar.Grammar, text string) {
	g.Match(text)
	v := letters()
	m := g.Matcher(v)
	logits := make([]float32, v.Size())
	for range 8 {
		if m.Done() {
			return
		}
		clear(logits)
		if err := m.Mask(logits, 4); err != nil {
			t.Fatal(err) // the vocabulary has every byte
		}
		for id, x := range logits {
			if x == 0 {
				if err := m.Accept(int32(id)); err != nil && !errors.Is(err, grammar.ErrAmbiguous) {
					t.Fatal(err)
				}
				break
			}
		}
	}
}
