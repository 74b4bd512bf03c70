package keyword

import (
	"iter"
	"maps"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// Weights of a term in a query, by what it is of the word it stands for. They, K1, B and contextUnits
// lie on a plateau that is good on nine collections at once (docs/decisions/0002-store.md), not at the
// best of any one.
const (
	weightWord     = 1.0
	weightJoined   = 0.5  // "boundarylayer" of boundary-layer, "zx2031b" of ZX-2031B
	weightPiece    = 0.3  // "2031" of 2031B, "hub" of GitHub
	weightPair     = 1.0  // two neighbouring Chinese characters
	weightSingle   = 0.3  // one Chinese character that is also in a pair
	weightFunction = 0.25 // a Chinese pair that carries grammar or asks, not meaning
	weightStop     = 0.1  // times the above, a stop word beside words of meaning
)

// Fields of a term's count, in quarters: a word of the context counts contextUnits against textUnits of
// one in the text, the simple form of BM25F (Robertson, Zaragoza and Taylor 2004, "Simple BM25 Extension
// to Multiple Weighted Fields").
const (
	textUnits    = 4
	contextUnits = 6
)

// Version changes with every change of this package that makes other terms or counts of a text.
const Version = 1

// maxWord is the longest word, in bytes, that is indexed; what is longer is data, not language.
const maxWord = 64

// A token is one term as analysis yields it.
type token struct {
	term   string
	weight float32
	words  uint8 // what it adds to the length: 0 for a second term of the same word
	stop   bool
}

// analyze calls emit for each term of text, in order.
func analyze(text string, emit func(token)) {
	if !norm.NFKC.IsNormalString(text) {
		// Full-width letters and digits, half-width kana, ligatures and Kangxi radicals become the ordinary
		// characters.
		text = norm.NFKC.String(text)
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case isCJK(r):
			end := i + size
			for end < len(text) {
				r, size := utf8.DecodeRuneInString(text[end:])
				if !isCJK(r) {
					break
				}
				end += size
			}
			characters(text[i:end], emit)
			i = end
		case isWord(r):
			end := wordEnd(text, i)
			word(text[i:end], emit)
			i = end
		default:
			i += size
		}
	}
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return !isCJK(r) && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r))
}

// isCJK says whether r is of a script written without spaces that is indexed by characters and pairs.
func isCJK(r rune) bool {
	switch {
	case r < 0x2e80:
		return 0x1100 <= r && r <= 0x11ff // hangul letters
	case r <= 0x9fff:
		return 0x4e00 <= r || 0x3400 <= r && r <= 0x4dbf || 0x3041 <= r && r <= 0x30ff && r != '・' || r == '々' || r == '〇' || 0x3105 <= r && r <= 0x318e
	case r <= 0xd7a3:
		return 0xac00 <= r
	case r <= 0xfaff:
		return 0xf900 <= r
	}
	return 0x20000 <= r && r <= 0x3ffff
}

// isJoint says whether r, between two word characters, keeps them in one word.
func isJoint(r rune) bool {
	switch r {
	case '-', '_', '.', '@', '\'', '’', '&', ',', '‐', '‑':
		return true
	}
	return false
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func wordEnd(text string, i int) int {
	var prev rune
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if isWord(r) {
			prev = r
			i += size
			continue
		}
		next, _ := utf8.DecodeRuneInString(text[i+size:])
		if !isJoint(r) || !isWord(next) || r == ',' && (!isDigit(prev) || !isDigit(next)) {
			return i
		}
		i += size
	}
	return i
}

// word yields the terms of a run of letters and digits, possibly with joints inside.
func word(run string, emit func(token)) {
	if len(run) > maxWord {
		// An address, a key, a long path: its pieces are worth finding, the whole is not.
		for piece := range strings.FieldsFuncSeq(run, isJoint) {
			if len(piece) <= maxWord {
				plain(piece, weightWord, 1, emit)
			}
		}
		return
	}
	if strings.IndexFunc(run, isJoint) < 0 {
		plain(run, weightWord, 1, emit)
		return
	}
	run = strings.ReplaceAll(strings.ReplaceAll(run, ",", ""), "’", "'")
	if w, ok := strings.CutSuffix(run, "'s"); ok && !strings.ContainsRune(w, '\'') {
		run = w
	} else if w, ok := strings.CutSuffix(run, "'S"); ok {
		run = w
	}
	pieces := strings.FieldsFunc(run, isJoint)
	if len(pieces) == 0 {
		return
	}
	if len(pieces) == 1 {
		plain(pieces[0], weightWord, 1, emit)
		return
	}
	numeric, initials, apostrophe := true, true, strings.ContainsRune(run, '\'')
	for _, p := range pieces {
		numeric = numeric && strings.IndexFunc(p, func(r rune) bool { return !isDigit(r) }) < 0
		initials = initials && utf8.RuneCountInString(p) == 1 && !isDigit(rune(p[0]))
	}
	switch {
	case numeric && len(pieces) == 2 && strings.ContainsRune(run, '.'): // 3.14
		emit(token{term: run, weight: weightWord, words: 1})
		return
	case initials && !apostrophe: // U.S.A
		emit(token{term: fold(strings.Join(pieces, "")), weight: weightWord, words: 1})
		return
	case apostrophe && len(pieces) == 2 && (len(pieces[1]) <= 2 || len(pieces[0]) == 1): // don't, we'll, O'Neill
		whole := fold(strings.Join(pieces, ""))
		emit(token{term: stem(whole), weight: weightWord, words: 1, stop: isStop(whole)})
		if len(pieces[1]) > 2 {
			plain(pieces[1], weightPiece, 0, emit)
		}
		return
	}
	for _, p := range pieces {
		plain(p, weightWord, 1, emit)
	}
	joined := fold(strings.Map(func(r rune) rune {
		if r == '.' || r == '@' || r == '&' || !isJoint(r) {
			return r
		}
		return -1
	}, run))
	emit(token{term: stem(joined), weight: weightJoined})
	if len(joined) > 2 && joined[0] == 'v' && isDigit(rune(joined[1])) {
		emit(token{term: joined[1:], weight: weightJoined}) // 1.2.3 of v1.2.3
	}
}

// plain yields the terms of a word without joints.
func plain(w string, weight float32, words uint8, emit func(token)) {
	if len(w) > maxWord {
		return
	}
	upper, lower, digits, humps := 0, 0, 0, 0
	var prev rune
	for _, r := range w {
		switch {
		case isDigit(r):
			digits++
		case unicode.IsUpper(r):
			upper++
			if unicode.IsLower(prev) {
				humps++
			}
		default:
			lower++
		}
		prev = r
	}
	if upper >= 2 && lower == 1 && digits == 0 && prev == 's' {
		w = w[:len(w)-1] // GPUs
		lower = 0
	}
	folded := fold(w)
	if digits > 0 && upper+lower == 0 {
		emit(token{term: folded, weight: weight, words: words})
		return
	}
	if digits > 0 {
		emit(token{term: folded, weight: weight, words: words})
		letters := func(r rune) bool { return !isDigit(r) }
		for _, cut := range []func(rune) bool{letters, isDigit} {
			for p := range strings.FieldsFuncSeq(folded, cut) {
				if len(p) > 1 {
					emit(token{term: stem(p), weight: weightPiece})
				}
			}
		}
		return
	}
	// In capitals it is a name: IT, WHO, US.
	acronym := upper >= 2 && lower == 0
	emit(token{term: stem(folded), weight: weight, words: words, stop: !acronym && isStop(folded)})
	if humps == 0 || upper+lower != len(w) {
		return
	}
	start := 0
	for i := 1; i <= len(w); i++ {
		if i == len(w) || unicode.IsUpper(rune(w[i])) && unicode.IsLower(rune(w[i-1])) {
			if i-start > 2 {
				emit(token{term: stem(fold(w[start:i])), weight: weightPiece})
			}
			start = i
		}
	}
}

// characters yields the terms of a run of Chinese, Japanese or Korean characters: each character and
// each pair of neighbours.
func characters(run string, emit func(token)) {
	var before string
	for i := 0; i < len(run); {
		_, size := utf8.DecodeRuneInString(run[i:])
		c := simplified(run[i : i+size])
		i += size
		if before != "" {
			pair := before + c
			t := token{term: pair, weight: weightPair}
			if functionPairs[pair] {
				t.weight = weightFunction
			}
			emit(t)
		}
		t := token{term: c, weight: weightSingle, words: 1}
		switch {
		case functionCharacters[c]:
			t.stop = true
		case before == "" && i == len(run):
			t.weight = weightWord
		}
		emit(t)
		before = c
	}
}

// fold lowers the case and takes the accents off.
func fold(w string) string {
	ascii := true
	for i := 0; i < len(w); i++ {
		if w[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if w = strings.ToLower(w); ascii {
		return w
	}
	var b strings.Builder
	latin := false
	for _, r := range norm.NFD.String(w) {
		if unicode.Is(unicode.Mn, r) && latin {
			continue
		}
		latin = unicode.In(r, unicode.Latin, unicode.Greek)
		if to, ok := letters[r]; ok {
			b.WriteString(to)
		} else {
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(b.String())
}

// letters are Latin letters whose mark is part of them.
var letters = map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ħ': "h", 'ı': "i", 'ς': "σ"}

// stems remembers the stems of words seen, up to maxStems of them: text repeats itself, stemming is
// slow. It also makes equal terms share one string.
var (
	stems     sync.Map
	stemCount atomic.Int64
)

const maxStems = 1 << 18

// stem returns the English stem (Porter2) of a folded word.
func stem(w string) string {
	if s, ok := stems.Load(w); ok {
		return s.(string)
	}
	s := strings.Clone(w)
	ascii := true
	for i := 0; i < len(w); i++ {
		ascii = ascii && 'a' <= w[i] && w[i] <= 'z'
	}
	if ascii && len(w) > 2 {
		s = english.Stem(w, true)
	}
	if stemCount.Add(1) <= maxStems {
		stems.Store(strings.Clone(w), s)
	}
	return s
}

// Terms is text analysed for the index.
type Terms struct {
	counts map[string]uint16 // in quarters, as textUnits is
	length uint32            // in quarters
}

// Counts yields each term and how often the passage has it, in quarters, in no certain order.
func (t Terms) Counts() iter.Seq2[string, uint16] { return maps.All(t.counts) }

// Len is the number of terms.
func (t Terms) Len() int { return len(t.counts) }

// Length is that of the passage, in quarters of a word.
func (t Terms) Length() uint32 { return t.length }

// Analyze prepares a passage for Add: its context (the title and headings above it) and its text. It
// is safe for concurrent use and is most of the work of adding.
func Analyze(context, text string) Terms {
	t := Terms{counts: make(map[string]uint16, len(text)/8)}
	count := func(units int) func(token) {
		return func(k token) {
			t.counts[k.term] = uint16(min(int(t.counts[k.term])+units, math.MaxUint16))
			t.length += uint32(k.words) * uint32(units)
		}
	}
	analyze(context, count(contextUnits))
	analyze(text, count(textUnits))
	return t
}

// A Query is a question analysed for Search.
type Query struct {
	terms []weighted
}

type weighted struct {
	term   string
	weight float32
}

// Empty says that the query has no word: it finds nothing.
func (q Query) Empty() bool { return len(q.terms) == 0 }

// Terms yields each term of the query and its weight, in their order.
func (q Query) Terms() iter.Seq2[string, float32] {
	return func(yield func(string, float32) bool) {
		for _, t := range q.terms {
			if !yield(t.term, t.weight) {
				return
			}
		}
	}
}

// ParseQuery analyses a question. Words that carry no meaning of their own (the, what, 的) count little
// unless there are no others.
func ParseQuery(text string) Query {
	var tokens []token
	content := false
	analyze(text, func(t token) {
		tokens = append(tokens, t)
		content = content || !t.stop
	})
	var q Query
	at := make(map[string]int)
	for _, t := range tokens {
		if t.stop && content {
			t.weight *= weightStop
		}
		if i, ok := at[t.term]; ok {
			q.terms[i].weight = max(q.terms[i].weight, t.weight)
			continue
		}
		at[t.term] = len(q.terms)
		q.terms = append(q.terms, weighted{t.term, t.weight})
	}
	return q
}
