package embed

import (
	"io/fs"
	"regexp"
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

// families are models that need prompts and whose checkpoints mostly do not carry them, by name.
var families = []struct {
	name    *regexp.Regexp
	prompts prompts
}{
	{regexp.MustCompile(`(^|[^a-z])e5-(small|base|large)(-v2|-unsupervised)?$`), prompts{"query: ", "passage: "}},
	{regexp.MustCompile(`(^|[^a-z])(bge-(small|base|large)-en(-v1\.5)?|mxbai-embed-(xsmall|large)-v1|snowflake-arctic-embed-(xs|s|m|l)(-v1\.5)?)$`),
		prompts{"Represent this sentence for searching relevant passages: ", ""}},
	{regexp.MustCompile(`(^|[^a-z])bge-(small|base|large)-zh(-v1\.5)?$`), prompts{"为这个句子生成表示以用于检索相关文章：", ""}},
	{regexp.MustCompile(`(^|[^a-z])nomic-embed-text-v1(\.5)?$`), prompts{"search_query: ", "search_document: "}},
}

// knownPrompts are those of a known family; none for any other name.
func knownPrompts(names ...string) prompts {
	for _, name := range names {
		name = strings.TrimSuffix(strings.ToLower(name), "-int8")
		for _, f := range families {
			if f.name.MatchString(name) {
				return f.prompts
			}
		}
	}
	return prompts{}
}
