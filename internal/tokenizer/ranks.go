package tokenizer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// The tokenizers of ChatGLM's own folders, by the class that tokenizer_config.json names. Their code, which is not
// run, adds tokens that no other file lists, or knows how words are cut.
const (
	classChatGLM = "ChatGLMTokenizer"  // of ChatGLM2 and 3: SentencePiece
	classGLM4    = "ChatGLM4Tokenizer" // of GLM-4: ranks, as tiktoken keeps them
)

var (
	chatGLMTokens = []string{"[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"}
	chatGLMRoles  = []string{"<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"}
)

// isRanks tells tiktoken's files from SentencePiece's, whose first byte is a tag of theirs.
func isRanks(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	_, _, err := rankOf(line)
	return err == nil
}

// rankOf reads a line: a token in base64, and its rank, which is its id.
func rankOf(line []byte) (token string, rank int, err error) {
	text, number, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
	if !ok {
		return "", 0, errors.New("want a token in base64 and its rank")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return "", 0, fmt.Errorf("token %q is not base64", text)
	}
	if rank, err = strconv.Atoi(number); err != nil || rank < 0 || rank >= maxVocab {
		return "", 0, fmt.Errorf("token %q has rank %q", text, number)
	}
	return string(raw), rank, nil
}

// listsOfRanks reads a byte-pair encoding as tiktoken keeps it: its tokens by rank. The merges, which it does not
// list, are found by encoding each token with those of lower rank only: the two parts that are left are its merge.
func listsOfRanks(data []byte, cfg *tokenizerConfig) (*Lists, error) {
	if cfg.Class != classGLM4 {
		return nil, fmt.Errorf("it holds ranks, as tiktoken does, but how words are cut is known for the tokenizer_class %q only, not for %q: add tokenizer.json, which says it", classGLM4, cfg.Class)
	}
	ranks := map[string]int{}
	l := &Lists{Model: "gpt2", Pre: "chatglm-bpe"}
	for i := 1; len(data) > 0; i++ {
		var line []byte
		if line, data, _ = bytes.Cut(data, []byte("\n")); len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		token, rank, err := rankOf(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i, err)
		}
		if _, ok := ranks[token]; ok || rank != len(l.Tokens) {
			return nil, fmt.Errorf("line %d: token %q has rank %d, want new tokens with ranks from 0 on", i, token, rank)
		}
		ranks[token] = rank
		l.Tokens = append(l.Tokens, spellBytes(token))
	}
	l.Types, l.Merges = normals(len(l.Tokens)), []string{}
	tokens := make([]string, len(l.Tokens))
	for token, rank := range ranks {
		tokens[rank] = token
	}
	for rank, token := range tokens {
		if len(token) == 1 {
			continue
		}
		left, right, err := splitByRank(token, rank, ranks)
		if err != nil {
			return nil, err
		}
		l.Merges = append(l.Merges, spellBytes(left)+" "+spellBytes(right))
	}
	return l, nil
}

// spellBytes writes bytes in GPT-2's alphabet.
func spellBytes(raw string) string {
	var b strings.Builder
	for i := range len(raw) {
		b.WriteRune(byteRunes[raw[i]])
	}
	return b.String()
}

var byteRunes = func() (runes [256]rune) {
	for r, b := range runeBytes {
		runes[b] = r
	}
	return runes
}()

// maxRanked bounds a token's bytes: finding its merge takes time by their square.
const maxRanked = 1 << 10

// splitByRank are the two parts that a token is made of.
func splitByRank(token string, rank int, ranks map[string]int) (left, right string, err error) {
	if len(token) > maxRanked {
		return "", "", fmt.Errorf("token %d has %d bytes, more than %d", rank, len(token), maxRanked)
	}
	ends := make([]int, len(token)) // of the parts
	for i := range ends {
		ends[i] = i + 1
	}
	for len(ends) > 2 {
		best, at, start := rank, -1, 0
		for i := range len(ends) - 1 {
			if r, ok := ranks[token[start:ends[i+1]]]; ok && r < best {
				best, at = r, i
			}
			start = ends[i]
		}
		if at < 0 {
			return "", "", fmt.Errorf("token %d, %q, is not made of two tokens of lower rank", rank, token)
		}
		ends = slices.Delete(ends, at, at+1)
	}
	left, right = token[:ends[0]], token[ends[0]:]
	for _, part := range []string{left, right} {
		if r, ok := ranks[part]; !ok || r >= rank {
			return "", "", fmt.Errorf("token %d, %q, is not made of two tokens of lower rank", rank, token)
		}
	}
	return left, right, nil
}

// addChatGLM adds the special tokens of ChatGLM's tokenizers, which no text yields, and what ends an answer.
func (l *Lists) addChatGLM(dir fs.FS, cfg *tokenizerConfig, added []AddedToken) ([]AddedToken, error) {
	if cfg.Class != classChatGLM && cfg.Class != classGLM4 {
		return added, nil
	}
	no := false
	l.AddBOS, l.AddEOS = &no, &no
	names := slices.Concat(chatGLMTokens, chatGLMRoles)
	for i := range added {
		added[i].Special = added[i].Special || slices.Contains(names, added[i].Content)
	}
	if cfg.Class == classGLM4 || len(added) > 0 {
		return added, nil
	}
	// ChatGLM2's code has no roles.
	code, err := readFile(dir, "tokenization_chatglm.py")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && !bytes.Contains(code, []byte(chatGLMRoles[0])) {
		names = chatGLMTokens
	}
	for i, name := range names {
		added = append(added, AddedToken{ID: int32(len(l.Tokens) + i), Content: name, Special: true})
	}
	return added, nil
}

// endsOfTurns are the tokens by which ChatGLM's models end an answer besides the end of text: the next one's role.
func (l *Lists) endsOfTurns(cfg *tokenizerConfig) {
	if cfg.Class != classChatGLM && cfg.Class != classGLM4 {
		return
	}
	for id, t := range l.Tokens {
		if l.Types[id] == pieceControl && (t == "<|user|>" || t == "<|observation|>") {
			l.Ends = append(l.Ends, int32(id))
		}
	}
}
