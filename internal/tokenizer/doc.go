// Package tokenizer cuts text into the tokens a model was trained on, exactly as Hugging Face
// tokenizers does, with the byte offsets of every token in the original text.
//
//	tok, err := tokenizer.Load(os.DirFS("bge-small-en")) // tokenizer.json, else vocab.txt
//	tokens := tok.Append(nil, "Refunds take 5 days.", -1)
//
// A [Tokenizer] is safe for concurrent use. Text is only ever text: a special token's name written
// in it ("[SEP]") is cut like any other word, so a document cannot forge the borders of the input.
// Special tokens are added by the caller, from [Tokenizer.Specials].
//
// Bytes that are not UTF-8 are read as U+FFFD, one for each byte.
package tokenizer

// A Token is one entry of a model's vocabulary, found in a text.
type Token struct {
	ID         int32
	Start, End int // bytes of the original text, on rune borders; tokens that share a rune share its range
}

// A Tokenizer turns text into the ids of a model's vocabulary. It is safe for concurrent use.
type Tokenizer interface {
	// Append appends the tokens of text to dst, without special tokens. It stops after limit tokens
	// and then has read little more of text than those; a negative limit means all of them.
	Append(dst []Token, text string, limit int) []Token

	// AppendStarts appends the Start of each token of text to dst.
	AppendStarts(dst []int, text string) []int

	// Specials are the ids that go before and after a single text.
	Specials() (prefix, suffix []int32)

	// Size is one more than the largest id.
	Size() int

	// Token is the vocabulary's entry for id, or "" for an id that has none.
	Token(id int32) string

	// ID finds the id of a vocabulary entry or special token.
	ID(token string) (id int32, ok bool)
}
