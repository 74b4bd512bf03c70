// Package tokenizer cuts text into the tokens a model was trained on, exactly as Hugging Face
// tokenizers does, with the byte offsets of every token in the original text.
//
//	tok, err := tokenizer.Load(os.DirFS("bge-small-en")) // tokenizer.json, vocab.txt, merges.txt or .model
//	tokens := tok.Append(nil, "Refunds take 5 days.", -1)
//
// [WordPiece] is BERT's. A [Pipeline] is everything else: byte-level BPE as GPT-2, RoBERTa, Llama 3 and
// Qwen have it, SentencePiece's BPE with byte fallback and Unigram, as Llama 2, XLM-R and T5 do, from
// files or from the lists of a GGUF file ([NewBPE], [NewUnigram]).
//
// A [Tokenizer] is safe for concurrent use. Text is only ever text: a special token's name written
// in it ("[SEP]") is cut like any other word, so a document cannot forge the borders of the input.
// Special tokens are added by the caller, from [Tokenizer.Specials], or with
// [Pipeline.AppendTrusted] for text that is the program's own.
//
// # Differences
//
// Bytes that are not UTF-8 are read as U+FFFD, one for each byte; Hugging Face's library does not take
// such text. The other differences from it:
//
//   - Plain text is read as if encode_special_tokens were set, and the names of special tokens are
//     no pieces for a Unigram model either.
//   - Regular expressions other than the well-known ones, which are written by hand, run on Go's
//     engine: look-around is an error, and code points that Unicode assigned lately may count as
//     unassigned.
//   - WordPiece leaves marks in the order of the text where NFD would sort them and strip_accents
//     does not remove them, which takes two marks of the kind of U+302E.
//
// A SentencePiece file is read as SentencePiece reads it, which Hugging Face's conversions differ
// from in the ids of some rare texts.
//
// Offsets are those that Hugging Face's library gives: a token of a space that a normaliser puts in has
// the range of the character that follows, tokens that share a character have all of it, and
// what a normaliser takes out belongs to no token.
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
