// Package examples holds docent's sample corpus: the employee handbook and a product manual of a
// made-up maker of laboratory instruments, in English and in Chinese, as PDF, DOCX, HTML and
// Markdown, and 40 questions with the passage that answers each. All of it was written for this
// project and is under the project's licence (Apache-2.0). Companies, people, numbers and addresses
// are invented.
//
// The server offers the corpus on an empty page as "try the sample"; the test of this package asks
// all questions, end to end.
package examples

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"sync"
)

//go:embed corpus
var corpus embed.FS

//go:embed questions.jsonl
var questions []byte

// A Question is one that a reader of the corpus may ask.
type Question struct {
	ID       string `json:"id"` // language and number: "en01", "zh20"
	Question string `json:"question"`
	Language string `json:"language"` // ISO 639-1: "en" or "zh"
	Document string `json:"document"` // the file in FS that answers it
	Expected string `json:"expected"` // a phrase of the passage that answers it, verbatim
}

// FS returns the files of the corpus, all in its root.
func FS() fs.FS {
	sub, err := fs.Sub(corpus, "corpus")
	if err != nil {
		panic("examples: " + err.Error()) // "corpus" is a valid path
	}
	return sub
}

// Questions returns the 40 questions, 20 in each language. The slice is the caller's.
func Questions() []Question {
	return append([]Question(nil), parsed()...)
}

var parsed = sync.OnceValue(func() []Question {
	var all []Question
	for i, line := range bytes.Split(bytes.TrimSpace(questions), []byte("\n")) {
		var q Question
		if err := json.Unmarshal(line, &q); err != nil {
			panic(fmt.Sprintf("examples: questions.jsonl line %d: %v", i+1, err)) // the file is part of the program
		}
		all = append(all, q)
	}
	return all
})
