package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Types of SentencePiece's pieces, which GGUF files share.
const (
	pieceNormal  = 1
	pieceUnknown = 2
	pieceControl = 3
	pieceUser    = 4
	pieceUnused  = 5
	pieceByte    = 6
)

// ParseSentencePiece reads a SentencePiece model file (.model), BPE or Unigram, and follows the
// SentencePiece library: control symbols are never found in text, user-defined symbols always are.
// Specials are none, as the file does not say which a model wants; [Load] adds what the files beside
// it say. Offsets differ from SentencePiece's in one way: the tokens of one original character have
// its range, all of them.
func ParseSentencePiece(data []byte) (*Pipeline, error) {
	m, err := readSPM(data)
	if err != nil {
		return nil, err
	}
	return m.pipeline(pipelineParts{})
}

type spmFile struct {
	tokens []string
	scores []float32
	types  []int32

	kind         uint64 // 1 Unigram, 2 BPE
	byteFallback bool
	suffixSpace  bool
	charsmap     []byte
	dummyPrefix  bool
	squeeze      bool // remove_extra_whitespaces
	escape       bool
}

// readSPM reads a ModelProto; the field numbers are those of sentencepiece_model.proto.
func readSPM(data []byte) (*spmFile, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("model file of %d bytes, at most %d are supported", len(data), maxFile)
	}
	m := &spmFile{kind: 1, dummyPrefix: true, squeeze: true, escape: true}
	err := protoFields(data, func(field int, v protoValue) error {
		switch field {
		case 1:
			if len(m.tokens) >= maxVocab {
				return fmt.Errorf("over %d pieces", maxVocab)
			}
			token, score, kind := "", float32(0), int32(pieceNormal)
			err := protoFields(v.bytes, func(field int, v protoValue) error {
				switch field {
				case 1:
					token = string(v.bytes)
				case 2:
					score = math.Float32frombits(uint32(v.number))
				case 3:
					kind = int32(v.number)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("piece %d: %w", len(m.tokens), err)
			}
			if !utf8.ValidString(token) || token == "" {
				return fmt.Errorf("piece %d is empty or not UTF-8", len(m.tokens))
			}
			if math.IsNaN(float64(score)) || math.IsInf(float64(score), 0) || kind < pieceNormal || kind > pieceByte {
				return fmt.Errorf("piece %d %q has score %v and type %d", len(m.tokens), token, score, kind)
			}
			m.tokens, m.scores, m.types = append(m.tokens, token), append(m.scores, score), append(m.types, kind)
		case 2:
			err := protoFields(v.bytes, func(field int, v protoValue) error {
				switch field {
				case 3:
					m.kind = v.number
				case 24:
					m.suffixSpace = v.number != 0
				case 35:
					m.byteFallback = v.number != 0
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("trainer_spec: %w", err)
			}
		case 3:
			err := protoFields(v.bytes, func(field int, v protoValue) error {
				switch field {
				case 2:
					m.charsmap = v.bytes
				case 3:
					m.dummyPrefix = v.number != 0
				case 4:
					m.squeeze = v.number != 0
				case 5:
					m.escape = v.number != 0
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("normalizer_spec: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(m.tokens) == 0 {
		return nil, errors.New("the model has no pieces")
	}
	if m.kind != 1 && m.kind != 2 {
		return nil, fmt.Errorf("model type %d is not supported, only Unigram (1) and BPE (2)", m.kind)
	}
	if m.suffixSpace {
		return nil, errors.New("treat_whitespace_as_suffix is not supported")
	}
	if !m.escape {
		return nil, errors.New("escape_whitespaces false is not supported")
	}
	return m, nil
}

type protoValue struct {
	number uint64
	bytes  []byte
}

// protoFields calls f for each field of a protobuf message.
func protoFields(data []byte, f func(field int, v protoValue) error) error {
	for at := 0; at < len(data); {
		key, n := binary.Uvarint(data[at:])
		if n <= 0 || key>>3 == 0 || key>>3 > 1<<29 {
			return fmt.Errorf("protobuf: bad field key at byte %d", at)
		}
		at += n
		var v protoValue
		switch key & 7 {
		case 0:
			v.number, n = binary.Uvarint(data[at:])
			if n <= 0 {
				return fmt.Errorf("protobuf: field %d: bad varint at byte %d", key>>3, at)
			}
			at += n
		case 1, 5:
			size := 8
			if key&7 == 5 {
				size = 4
			}
			if len(data)-at < size {
				return fmt.Errorf("protobuf: field %d is truncated at byte %d", key>>3, at)
			}
			if size == 8 {
				v.number = binary.LittleEndian.Uint64(data[at:])
			} else {
				v.number = uint64(binary.LittleEndian.Uint32(data[at:]))
			}
			at += size
		case 2:
			size, n := binary.Uvarint(data[at:])
			if n <= 0 || size > uint64(len(data)-at-n) {
				return fmt.Errorf("protobuf: field %d is truncated at byte %d", key>>3, at)
			}
			v.bytes = data[at+n : at+n+int(size)]
			at += n + int(size)
		default:
			return fmt.Errorf("protobuf: field %d has wire type %d", key>>3, key&7)
		}
		if err := f(int(key>>3), v); err != nil {
			return err
		}
	}
	return nil
}

// pipeline completes c, which may bring added tokens and specials, to a tokenizer.
func (m *spmFile) pipeline(c pipelineParts) (*Pipeline, error) {
	norm := &spmNormalizer{dummy: m.dummyPrefix, squeeze: m.squeeze}
	if len(m.charsmap) > 0 {
		var err error
		if norm.charsmap, err = newCharsmap(m.charsmap); err != nil {
			return nil, fmt.Errorf("normalizer_spec: %w", err)
		}
	}
	seen := make(map[string]int, len(m.tokens))
	unknown := int32(-1)
	var user []string
	for i, t := range m.tokens {
		if t == "" {
			continue
		}
		if j, ok := seen[t]; ok {
			return nil, fmt.Errorf("pieces %d and %d are both %q", j, i, t)
		}
		seen[t] = i
		switch m.types[i] {
		case pieceUnknown:
			if unknown >= 0 {
				return nil, fmt.Errorf("pieces %d and %d are both unknown tokens", unknown, i)
			}
			unknown = int32(i)
			c.added = appendAdded(c.added, AddedToken{ID: int32(i), Content: t, Special: true})
		case pieceControl:
			c.added = appendAdded(c.added, AddedToken{ID: int32(i), Content: t, Special: true})
		case pieceUser:
			c.added = appendAdded(c.added, AddedToken{ID: int32(i), Content: t, Normalized: true})
			user = append(user, t)
		}
	}
	if len(user) > 0 {
		var err error
		if norm.user, err = newVocab(user); err != nil {
			return nil, err
		}
	}
	plain := func(id int32) bool { return m.types[id] == pieceNormal }
	hidden := func(id int32) bool { return m.types[id] != pieceNormal }
	c.names, c.norms = m.tokens, []normalizer{norm}
	if c.decode == nil {
		c.decode = []decodeStep{{kind: decodeReplace, from: "▁", to: " "}, {kind: decodeFallback}}
		if m.dummyPrefix {
			c.decode = append(c.decode, decodeStep{kind: decodeStrip, from: " ", count: 1})
		}
	}
	if m.kind == 2 {
		name := ""
		if unknown >= 0 {
			name = m.tokens[unknown]
		}
		b, err := newBPE(bpeParts{tokens: m.tokens, scores: m.scores, byteFallback: m.byteFallback, unknown: name, fuse: true, special: hidden, plain: plain})
		if err != nil {
			return nil, err
		}
		c.model, c.spell = b, b.vocab
		return newPipeline(c)
	}
	worst := math.Inf(1)
	scores := make([]float64, len(m.scores))
	for i, s := range m.scores {
		scores[i] = float64(s)
		if m.types[i] == pieceNormal {
			worst = min(worst, scores[i])
		}
	}
	if math.IsInf(worst, 1) {
		worst = 0
	}
	u, err := newUnigram(unigramParts{tokens: m.tokens, scores: scores, unknown: unknown, byteFallback: m.byteFallback, skip: hidden, worst: &worst})
	if err != nil {
		return nil, err
	}
	u.single = true
	c.model, c.spell = u, u.vocab
	return newPipeline(c)
}

// appendAdded appends a token that is not there yet.
func appendAdded(list []AddedToken, t AddedToken) []AddedToken {
	if slices.ContainsFunc(list, func(x AddedToken) bool { return x.ID == t.ID }) {
		return list
	}
	return append(list, t)
}

// spmNormalizer is SentencePiece's own normalisation: the longest rule of the charsmap at each place,
// then white space made "▁", squeezed and trimmed if so set, with one in front.
type spmNormalizer struct {
	charsmap *charsmap
	user     *vocab // user-defined symbols, which stay as they are
	dummy    bool
	squeeze  bool
}

func (n *spmNormalizer) apply(in, out *alignedText, w *normWork, _, _ bool) bool {
	const mark = "▁"
	text := view(in.text)
	i := 0
	if n.squeeze && w.textStart {
		for i < len(text) {
			to, size := n.prefix(text[i:])
			if to != " " {
				break
			}
			i += size
		}
		if i == len(text) {
			return true
		}
	}
	if n.dummy && w.textStart {
		out.addString(mark, in.at[i])
	}
	space := n.squeeze && w.textStart
	for i < len(text) {
		to, size := n.prefix(text[i:])
		at := span{in.at[i].start, in.at[i+size-1].end}
		i += size
		if space {
			to = strings.TrimLeft(to, " ")
		}
		if to == "" {
			continue
		}
		for k := 0; k < len(to); {
			if to[k] == ' ' {
				out.addString(mark, at)
				k++
				continue
			}
			_, m := utf8.DecodeRuneInString(to[k:])
			out.addString(to[k:k+m], at)
			k += m
		}
		space = n.squeeze && to[len(to)-1] == ' '
	}
	if n.squeeze && w.textEnd {
		for strings.HasSuffix(view(out.text), mark) {
			out.text, out.at = out.text[:len(out.text)-len(mark)], out.at[:len(out.at)-len(mark)]
		}
	}
	return true
}

// prefix is what the start of s becomes, and how much of s that is.
func (n *spmNormalizer) prefix(s string) (to string, size int) {
	if n.user != nil {
		state := uint32(0)
		for i := range len(s) {
			if state = n.user.step(state, s[i]); state == 0 {
				break
			}
			if n.user.leaf[state] >= 0 {
				size = i + 1
			}
		}
		if size > 0 {
			return s[:size], size
		}
	}
	if n.charsmap != nil {
		if to, size := n.charsmap.find(s, true); size > 0 {
			return to, size
		}
	}
	_, size = utf8.DecodeRuneInString(s)
	return s[:size], size
}
