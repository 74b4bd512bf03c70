// Package clean takes out of documents what no answer should rest on, and tells of it: characters that
// stand for others, lines that repeat on every page, passages without meaning, private data. It finds
// documents that say nearly the same by their [Signature].
//
//	doc, report, err := clean.Document(doc, settings)
//
// Every function changes the text and the byte ranges of its blocks and pages together, so that a
// range still is what it says. Nothing here keeps state; all is safe for concurrent use.
package clean

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"docent/chunker"
)

// ErrRefused is returned for a document that holds private data of a kind that is to be refused.
var ErrRefused = errors.New("refused")

// A Report says what cleaning found and did.
type Report struct {
	// Normalized is how many characters were replaced by their compatible form.
	Normalized int            `json:"normalized,omitempty"`
	Dropped    []Passage      `json:"dropped,omitempty"`  // what is no longer part of the text
	Doubtful   []Passage      `json:"doubtful,omitempty"` // what would be dropped, were the setting so
	Private    []PrivateCount `json:"private,omitempty"`
}

// A Passage is a part of a document that was judged. A report lists at most maxPassages of them, and
// then one that sums up the rest.
type Passage struct {
	Reason string `json:"reason"`         // "gibberish", "noise", "links" or "repeated line"
	Text   string `json:"text"`           // how it begins
	Page   int    `json:"page,omitempty"` // from 1; 0 where there are no pages
	Bytes  int    `json:"bytes"`
	Count  int    `json:"count,omitempty"` // how many passages this stands for; 0 means one
}

const (
	maxPassages = 50
	excerpt     = 120 // runes
)

// Document cleans doc as s says. Its error wraps ErrRefused and says what was found; the report is
// complete even then.
func Document(doc chunker.Document, s Settings) (chunker.Document, Report, error) {
	var r Report
	if s.Normalization == "nfkc" {
		doc, r.Normalized = normalize(doc)
	}
	if s.Boilerplate == "remove" {
		doc = r.drop(doc, repeatedLines(doc))
	}
	if s.LowQuality != "off" {
		bad := lowQuality(doc)
		if s.LowQuality == "drop" {
			doc = r.drop(doc, bad)
		} else {
			for _, j := range bad {
				r.Doubtful = append(r.Doubtful, j.passage(doc))
			}
		}
	}
	doc, private, err := maskPrivate(doc, s.Private)
	r.Private = private
	for _, list := range []*[]Passage{&r.Dropped, &r.Doubtful} {
		for i := range *list {
			(*list)[i].Text = maskText((*list)[i].Text, s.Private)
		}
		*list = sumUp(*list)
	}
	return doc, r, err
}

// A judgement is a block of a document that should go, and why.
type judgement struct {
	block  int
	reason string
}

func (j judgement) passage(doc chunker.Document) Passage {
	b := doc.Blocks[j.block]
	p := Passage{Reason: j.reason, Text: strings.Join(strings.Fields(doc.Text[b.Start:b.End]), " "), Bytes: b.End - b.Start}
	if utf8.RuneCountInString(p.Text) > excerpt {
		p.Text = string([]rune(p.Text)[:excerpt]) + "…"
	}
	for _, page := range doc.Pages {
		if page.Start > b.Start {
			break
		}
		p.Page = page.Number
	}
	return p
}

// drop takes the blocks that were judged out of doc and notes them.
func (r *Report) drop(doc chunker.Document, bad []judgement) chunker.Document {
	if len(bad) == 0 {
		return doc
	}
	edits := make([]Edit, len(bad))
	for i, j := range bad {
		r.Dropped = append(r.Dropped, j.passage(doc))
		// With the blank line before it, or at the start of the text the one after it.
		start, end := doc.Blocks[j.block].Start, doc.Blocks[j.block].End
		if j.block > 0 {
			start = doc.Blocks[j.block-1].End
		} else if len(doc.Blocks) > 1 {
			end = doc.Blocks[1].Start
		}
		if i > 0 {
			start = max(start, edits[i-1].End)
		}
		edits[i] = Edit{Start: start, End: max(start, end)}
	}
	return Apply(doc, edits)
}

// sumUp keeps a report short.
func sumUp(all []Passage) []Passage {
	if len(all) <= maxPassages {
		return all
	}
	kept := slices.Clone(all[:maxPassages])
	for _, p := range all[maxPassages:] {
		i := slices.IndexFunc(kept[maxPassages:], func(k Passage) bool { return k.Reason == p.Reason })
		if i < 0 {
			kept = append(kept, Passage{Reason: p.Reason, Text: "…", Bytes: p.Bytes, Count: 1})
			continue
		}
		kept[maxPassages+i].Bytes += p.Bytes
		kept[maxPassages+i].Count++
	}
	return kept
}

func refused(what string) error {
	return fmt.Errorf("%w: it holds %s, which this collection does not take; remove it from the file, or choose \"mask\" in the settings of the collection", ErrRefused, what)
}
