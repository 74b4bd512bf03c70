package grammar_test

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"docent/internal/llm/grammar"
)

var schemas = map[string]struct {
	schema  string
	yes, no []string
}{
	"object": {`{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "ok": {"type": "boolean"}}, "required": ["name"]}`,
		[]string{`{"name":"x"}`, `{"name": "x", "age": 3, "ok": true}`, "{\n  \"name\": \"é\\n\",\n  \"ok\": false\n}"}, []string{`{}`, `{"age":1}`, `{"name":"x",}`, `{"name":"x","more":1}`, `{"name":"x","age":1.5}`}},
	"all optional": {`{"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "number"}, "c": {"type": "string"}}, "additionalProperties": false}`,
		[]string{`{}`, `{"b":-1.5e3}`, `{"a":null,"c":""}`}, []string{`{,"b":1}`, `{"b":1 "c":""}`, `{"c":"","b":1}`}},
	"required in the middle": {`{"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}, "d": {"const": 4}}, "required": ["b", "d"]}`,
		[]string{`{"b":2,"d":4}`, `{"a":1,"b":2,"c":3,"d":4}`}, []string{`{"b":2}`, `{"a":1,"d":4}`}},
	"additional": {`{"type": "object", "properties": {"id": {"type": "integer"}, "idea": {"type": "null"}}, "required": ["id"], "additionalProperties": {"type": "string"}}`,
		[]string{`{"id":1}`, `{"id":1,"x":"y"}`, `{"id":1,"ide":"y","ideas":"z"}`, `{"id":1,"":"y"}`}, []string{`{"x":"y"}`, `{"id":1,"id":"y"}`, `{"id":1,"x":2}`, `{"id":1,"\u0069dea":"x"}`}},
	"map":             {`{"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer", "minimum": 0}}}`, []string{`{}`, `{"a":[1,2]}`}, []string{`{"a":[-1]}`, `{"a":1}`}},
	"required only":   {`{"required": ["a", "b"]}`, []string{`{"a":1,"b":[{}]}`, `{"a":1,"b":2,"c":3}`}, []string{`{"a":1}`}},
	"array":           {`{"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 1, "maxItems": 3}`, []string{`["a"]`, `["abc", "日本語", "\n"]`}, []string{`[]`, `["a","b","c","d"]`, `["abcd"]`}},
	"tuple":           {`{"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false, "minItems": 1}`, []string{`["a"]`, `["a",1]`}, []string{`[]`, `["a",1,2]`, `[1]`}},
	"longer tuple":    {`{"type": "array", "prefixItems": [{"const": "x"}], "items": {"type": "integer"}, "minItems": 3, "maxItems": 4}`, []string{`["x",1,2]`, `["x",1,2,3]`}, []string{`["x",1]`, `["x",1,2,3,4]`}},
	"enum":            {`{"enum": ["red", "green", 3, null, {"a": [1, 2]}, "a\"b"]}`, []string{`"red"`, `3`, `null`, `{"a":[1,2]}`, `"a\"b"`}, []string{`"blue"`, `4`}},
	"typed enum":      {`{"type": "string", "enum": ["a", 1, "b"]}`, []string{`"a"`, `"b"`}, []string{`1`}},
	"anyOf":           {`{"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}, {"type": "null"}]}`, []string{`5`, `"ab"`, `null`}, []string{`"a"`, `true`}},
	"oneOf with base": {`{"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"], "oneOf": [{"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["x"]}, {"properties": {"kind": {"const": "b"}, "y": {"type": "boolean"}}}]}`, []string{`{"kind":"a","x":1}`, `{"kind":"b"}`, `{"kind":"b","y":true}`}, []string{`{"kind":"a"}`, `{"kind":"c"}`}},
	"allOf":           {`{"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}, {"properties": {"a": {"maximum": 5}, "b": {"type": "null"}}, "required": ["a"]}]}`, []string{`{"a":4}`, `{"a":5,"b":null}`}, []string{`{"a":2}`, `{"a":6}`, `{}`}},
	"tree": {`{"$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value", "next"]}}, "$ref": "#/$defs/node"}`,
		[]string{`{"value":1,"next":null}`, `{"value":1,"next":{"value":2,"next":null}}`}, []string{`{"value":1}`}},
	"itself":                {`{"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z]{1,5}$"}, "children": {"type": "array", "items": {"$ref": "#"}}}, "required": ["name"]}`, []string{`{"name":"a","children":[{"name":"b"}]}`}, []string{`{"name":"A"}`, `{"name":"a","children":[{}]}`}},
	"types":                 {`{"type": ["string", "integer", "number", "null"]}`, []string{`"x"`, `1`, `1.5`, `null`}, []string{`true`}},
	"pattern":               {`{"type": "string", "pattern": "^(\\d{3}-)?[A-Z]+\"\\\\[\\n ]$"}`, []string{`"123-AB\"\\\n"`, `"A\"\\ "`}, []string{`"12-A\"\\ "`}},
	"open pattern":          {`{"type": "string", "pattern": "ab+c|^x"}`, []string{`"abc"`, `"--abbc--"`, `"xyz"`}, []string{`"ab"`, `"yx"`}},
	"lengths":               {`{"type": "string", "minLength": 2, "maxLength": 4}`, []string{`"ab"`, `"\n\"\u00e9😀"`}, []string{`"a"`, `"abcde"`}},
	"date":                  {`{"type": "string", "format": "date"}`, []string{`"2024-02-28"`}, []string{`"2024-13-01"`, `"2024-02-30"`, `"2024-2-3"`}},
	"date-time":             {`{"type": "string", "format": "date-time"}`, []string{`"2024-02-28T23:59:59Z"`, `"2024-02-28T23:59:59.123+02:00"`}, []string{`"2024-02-28 23:59:59Z"`}},
	"time":                  {`{"type": "string", "format": "time"}`, []string{`"10:00:00Z"`}, []string{`"24:00:00Z"`}},
	"uuid":                  {`{"type": "string", "format": "uuid"}`, []string{`"01234567-89ab-cdef-0123-456789abcdef"`}, []string{`"x"`}},
	"email":                 {`{"type": "string", "format": "email"}`, []string{`"a.b@example.org"`}, []string{`"a@b"`, `".a@example.org"`}},
	"hostname":              {`{"type": "string", "format": "hostname"}`, []string{`"a-b.example"`}, []string{`"-a"`}},
	"ipv4":                  {`{"type": "string", "format": "ipv4"}`, []string{`"127.0.0.1"`, `"255.10.0.99"`}, []string{`"256.0.0.1"`, `"01.1.1.1"`}},
	"uri":                   {`{"type": "string", "format": "uri"}`, []string{`"https://example.org/a?b=c"`}, []string{`"example"`}},
	"digits":                {`{"type": "integer", "minimum": 7, "maximum": 12345}`, []string{`7`, `9`, `10`, `99`, `12345`}, []string{`6`, `12346`, `99999`, `07`, `-8`}},
	"below zero":            {`{"type": "integer", "exclusiveMinimum": -120, "maximum": -3}`, []string{`-119`, `-3`}, []string{`-120`, `-2`, `0`}},
	"around zero":           {`{"type": "integer", "minimum": -10, "exclusiveMaximum": 11}`, []string{`-10`, `0`, `10`}, []string{`-11`, `11`, `-0`}},
	"half open":             {`{"type": "integer", "minimum": 1}`, []string{`1`, `100000`}, []string{`0`, `-1`}},
	"probability":           {`{"type": "number", "minimum": 0, "maximum": 1}`, []string{`0`, `0.5`, `1`, `1.0`}, []string{`1.1`, `-0.1`, `2`}},
	"real":                  {`{"type": "number", "exclusiveMinimum": -2, "exclusiveMaximum": 3.5}`, []string{`-1.9`, `-0.5`, `0`, `2.75`, `3`}, []string{`-2`, `-2.0`, `4`}},
	"negative real":         {`{"type": "number", "minimum": -3, "maximum": -1}`, []string{`-3`, `-1`, `-2.5`, `-1.0`}, []string{`-0.5`, `-3.5`, `1`}},
	"unique":                {`{"type": "array", "items": {"enum": ["a", "b", 3, "a"]}, "uniqueItems": true}`, []string{`[]`, `["b"]`, `[3,"a"]`, `["b", "a", 3]`}, []string{`["a","a"]`, `["a",3,"b","a"]`, `["c"]`}},
	"some unique":           {`{"type": "array", "items": {"$ref": "#/$defs/flag"}, "minItems": 1, "maxItems": 2, "uniqueItems": true, "$defs": {"flag": {"type": "string", "enum": ["x", "y", "z"], "not": {"const": "z"}}}}`, []string{`["x"]`, `["y","x"]`}, []string{`[]`, `["x","x"]`, `["z"]`}},
	"unique flags":          {`{"items": {"type": "boolean"}, "uniqueItems": true, "minItems": 2}`, []string{`[true,false]`, `[false,true]`}, []string{`[true]`, `[true,true]`}},
	"unique without need":   {`{"type": "array", "items": {"type": "integer"}, "uniqueItems": true, "maxItems": 1}`, []string{`[]`, `[7]`}, []string{`[1,2]`}},
	"bounded enum":          {`{"enum": ["a", "bb", "ccc"], "minLength": 2, "pattern": "^[a-b]+$"}`, []string{`"bb"`}, []string{`"a"`, `"ccc"`}},
	"not a value":           {`{"enum": [1, 2, "two", null], "not": {"enum": [2, null]}}`, []string{`1`, `"two"`}, []string{`2`, `null`}},
	"not a type":            {`{"not": {"type": ["object", "array", "null"]}}`, []string{`1`, `"x"`, `true`}, []string{`{}`, `[]`, `null`}},
	"not of types":          {`{"type": ["integer", "string", "null"], "not": {"type": "null"}}`, []string{`1`, `"x"`}, []string{`null`}},
	"named by a pattern":    {`{"type": "object", "patternProperties": {"^[a-z]{2}$": {"type": "integer"}}, "additionalProperties": false}`, []string{`{}`, `{"ab":1}`, `{"ab":1,"cd":2}`}, []string{`{"abc":1}`, `{"ab":"x"}`}},
	"a pattern and names":   {`{"type": "object", "properties": {"id": {"type": "integer"}, "N1": {"minimum": 3}}, "patternProperties": {"^[A-Z]\\d$": {"type": "integer"}}, "required": ["N1", "Q7"]}`, []string{`{"id":5,"N1":3,"Q7":0}`, `{"N1":4,"Q7":1}`}, []string{`{"N1":2,"Q7":1}`, `{"N1":3}`, `{"N1":3,"Q7":"x"}`}},
	"beside a pattern":      {`{"type": "object", "properties": {"id": {"type": "integer"}}, "patternProperties": {"^x-": {"type": "string"}}, "required": ["id"]}`, []string{`{"id":5}`, `{"id":5,"x-a":"b"}`}, []string{`{"id":5,"y":"b"}`, `{"id":5,"x-a":1}`}},
	"at least one member":   {`{"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "minProperties": 1, "additionalProperties": false}`, []string{`{"a":1}`, `{"c":3}`, `{"a":1,"b":2,"c":3}`}, []string{`{}`}},
	"two of three members":  {`{"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "required": ["b"], "minProperties": 2, "maxProperties": 2}`, []string{`{"a":1,"b":2}`, `{"b":2,"c":3}`}, []string{`{"b":2}`, `{"a":1,"b":2,"c":3}`, `{"a":1,"c":3}`}},
	"some members of a map": {`{"type": "object", "additionalProperties": {"const": 0}, "minProperties": 1, "maxProperties": 2}`, []string{`{"a":0}`, `{"a":0,"b":0}`}, []string{`{}`, `{"a":0,"b":0,"c":0}`}},
	"few members":           {`{"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, "additionalProperties": true, "maxProperties": 1}`, []string{`{}`, `{"a":1}`, `{"b":2}`}, []string{`{"a":1,"b":2}`}},
	"sevenths":              {`{"type": "integer", "multipleOf": 7}`, []string{`0`, `7`, `-14`, `1001`}, []string{`1`, `1000`, `07`}},
	"pairs from zero":       {`{"type": "integer", "multipleOf": 2, "minimum": 0}`, []string{`0`, `2`, `1000`}, []string{`3`, `-2`}},
	"tens of a range":       {`{"type": "integer", "multipleOf": 10, "minimum": -25, "exclusiveMaximum": 30}`, []string{`-20`, `0`, `20`}, []string{`-30`, `30`, `5`}},
	"cents":                 {`{"type": "number", "multipleOf": 0.01}`, []string{`0`, `12.5`, `-3.99`, `7.00`}, []string{`1.005`}},
	"quarters of hundreds":  {`{"type": "number", "multipleOf": 25}`, []string{`25`, `-100`}, []string{`10`}},
	"pattern and length":    {`{"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "minLength": 4, "maxLength": 6}`, []string{`"AB12"`, `"AB1234"`}, []string{`"AB1"`, `"AB12345"`, `"ab12"`}},
	"pattern that has one":  {`{"type": "string", "pattern": "^\\d{4}-\\d{2}$", "maxLength": 7}`, []string{`"2024-05"`}, []string{`"2024-5"`}},
	"any":                   {`{}`, []string{`{"a":[1,{}]}`, `"x"`, `null`}, []string{`x`, ``}},
}

// TestSchema: texts that chance makes of a schema's grammar are JSON that the schema accepts, and so are
// the examples, as an independent validator says.
func TestSchema(t *testing.T) {
	v := letters()
	for name, c := range schemas {
		t.Run(name, func(t *testing.T) {
			g, err := grammar.Schema([]byte(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			compiler := jsonschema.NewCompiler()
			compiler.DefaultDraft(jsonschema.Draft2020)
			compiler.AssertFormat()
			if err := compiler.AddResource("schema.json", doc); err != nil {
				t.Fatal(err)
			}
			schema, err := compiler.Compile("schema.json")
			if err != nil {
				t.Fatal(err)
			}
			valid := func(text string) error {
				if err := json.Unmarshal([]byte(text), new(any)); err != nil {
					return err
				}
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
				if err != nil {
					return err
				}
				return schema.Validate(value)
			}
			for _, text := range c.yes {
				if err := valid(text); err != nil {
					t.Errorf("a wrong example %s: %v", text, err)
				}
				if !g.Match(text) {
					t.Errorf("%s does not match", text)
				}
			}
			for _, text := range c.no {
				if g.Match(text) {
					t.Errorf("%s matches", text)
				}
			}
			for seed := range uint64(25) {
				text, ended := walk(t, g, v, rand.New(rand.NewPCG(seed, 2)), 150)
				if err := valid(text); err != nil || !ended || !utf8.ValidString(text) {
					t.Fatalf("%s: %v", text, err)
				}
			}
		})
	}
}

// TestJSON: any JSON is, and nothing else.
func TestJSON(t *testing.T) {
	v := letters()
	for _, objects := range []bool{false, true} {
		g := grammar.JSON(objects)
		for seed := range uint64(60) {
			text, ended := walk(t, g, v, rand.New(rand.NewPCG(seed, 3)), 120)
			if !ended || !json.Valid([]byte(text)) || objects && !strings.HasPrefix(text, "{") {
				t.Errorf("%q", text)
			}
		}
	}
}

// TestRegex: texts that chance makes of an expression match it, as Go's regexp says.
func TestRegex(t *testing.T) {
	v := letters()
	for _, expr := range []string{
		`^yes|no$`, `(?i)hello( world)?!*`, `\d{4}-\d{2}-\d{2}`, `[^a-z]{3,5}`, `(a|b)*abb`, `(?:[a-z]+\.)+[a-z]{2,}`, `日(本|曜)+`, `\w+\s?=\s?("[^"]*"|\d+)`,
		`(?s).{0,5}`, `.{1,5}`, `()`, `x*(yz){0,3}`, `(?i)straße`, `\pL+`, `[\x00-\x{10FFFF}]{2}`, `(a*)*b`, `(a{0,30}){0,30}c`,
	} {
		t.Run(expr, func(t *testing.T) {
			g, err := grammar.Regex(expr)
			if err != nil {
				t.Fatal(err)
			}
			whole := regexp.MustCompile(`^(?:` + expr + `)$`)
			r := rand.New(rand.NewPCG(4, 5))
			for range 25 {
				text, ended := walk(t, g, v, r, 60)
				if !ended || !whole.MatchString(text) {
					t.Fatalf("%q (ended: %t)", text, ended)
				}
			}
			// The other way round: texts near to those that match are told apart as Go tells them.
			text, _ := walk(t, g, v, r, 20)
			for range 200 {
				b := []byte(text)
				for range 1 + r.IntN(2) {
					switch i := r.IntN(len(b) + 1); {
					case r.IntN(2) == 0 && i < len(b):
						b = append(b[:i], b[i+1:]...)
					default:
						b = append(b[:i], append([]byte{"abcdxyz01 .=\"-"[r.IntN(14)]}, b[i:]...)...)
					}
				}
				if got := string(b); utf8.ValidString(got) && g.Match(got) != whole.MatchString(got) {
					t.Fatalf("%q: %t, Go's regexp says %t", got, g.Match(got), !g.Match(got))
				}
			}
		})
	}
}

// TestSearch: until and avoid against strings.Index.
func TestSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, marker := range []string{"a", "ab", "aab", "abab", "aabaaab"} {
		until, avoid := compile(t, grammar.Until(marker)), compile(t, grammar.Avoid(marker))
		for range 500 {
			var b strings.Builder
			for range r.IntN(14) {
				b.WriteByte("aab"[r.IntN(3)])
			}
			s := b.String()
			at := strings.Index(s, marker)
			if got, want := until.Match(s), at >= 0 && at+len(marker) == len(s); got != want {
				t.Errorf("until %s: %s: %t", marker, s, got)
			}
			if got, want := avoid.Match(s), at < 0; got != want {
				t.Errorf("avoid %s: %s: %t", marker, s, got)
			}
		}
	}
}
