package embed

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// prompts are put before texts, as the model was trained.
type prompts struct{ query, document string }

// readPrompts reads sentence-transformers' config_sentence_transformers.json; found tells whether it
// has a word on them, be it that there are none.
func readPrompts(dir fs.FS) (p prompts, found bool, err error) {
	var c struct {
		Prompts map[string]string
		Default string `json:"default_prompt_name"`
	}
	if _, err := readJSON(dir, "config_sentence_transformers.json", &c); err != nil {
		return prompts{}, false, err
	}
	find := func(names ...string) string {
		for _, n := range names {
			if p, ok := c.Prompts[n]; ok {
				return p
			}
		}
		return c.Prompts[c.Default]
	}
	// The names, and their order, that encode_query and encode_document of sentence-transformers try.
	return prompts{find("query"), find("document", "passage", "corpus")}, len(c.Prompts) > 0, nil
}

// families are models by the end of their names, with the prompts that their checkpoints mostly do not
// carry and the languages they are limited to. Servers name some without size or version.
var families = []struct {
	name      *regexp.Regexp
	prompts   prompts
	languages []string // ISO 639-1; nil for many
}{
	{regexp.MustCompile(`(^|[^a-z])multilingual-e5-(small|base|large)$`), prompts{"query: ", "passage: "}, nil},
	{regexp.MustCompile(`(^|[^a-z])e5-(small|base|large)(-v2|-unsupervised)?$`), prompts{"query: ", "passage: "}, []string{"en"}},
	{regexp.MustCompile(`(^|[^a-z])(bge-(small|base|large)-en(-v1\.5)?|mxbai-embed-(xsmall|large)(-v1)?|snowflake-arctic-embed(-(xs|s|m|l))?(-v1\.5)?)$`),
		prompts{"Represent this sentence for searching relevant passages: ", ""}, []string{"en"}},
	{regexp.MustCompile(`(^|[^a-z])bge-(small|base|large)-zh(-v1\.5)?$`), prompts{"为这个句子生成表示以用于检索相关文章：", ""}, []string{"zh"}},
	{regexp.MustCompile(`(^|[^a-z])nomic-embed-text(-v1(\.5)?)?$`), prompts{"search_query: ", "search_document: "}, []string{"en"}},
	{regexp.MustCompile(`(^|[^a-z])nomic-embed-text-v2(-moe)?$`), prompts{"search_query: ", "search_document: "}, nil},
	{regexp.MustCompile(`(^|[^a-z])all-(minilm(-l(6|12))?|mpnet-base)(-v[12])?$`), prompts{}, []string{"en"}},
}

// knownModel returns the prompts and languages of a known family; neither for any other name.
func knownModel(name string) (p prompts, languages []string) {
	name = strings.TrimSuffix(strings.ToLower(name), "-int8")
	for _, f := range families {
		if f.name.MatchString(name) {
			return f.prompts, slices.Clone(f.languages)
		}
	}
	return prompts{}, nil
}
