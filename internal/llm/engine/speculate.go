package engine

import "sync"

const (
	maxGuess   = 15 // tokens guessed for one step
	stepGuess  = 16 // rows of a step up to which guesses are worth their work: more requests guess less each
	leastMatch = 3  // tokens that must have come before in the same order
	farMatch   = 12 // of how many tokens a longer match is better
	restTokens = 12 // after guesses that did not pay, tokens without any
)

// guesser proposes tokens that may come next, by looking for the last ones earlier in the text (prompt lookup:
// Saxena 2023; as a draft for speculative decoding, Leviathan et al. 2023). Answers from documents quote them, so
// it is often right. All guesses are computed in one step, and those that the sampler would have chosen are
// kept: since it chooses from the same logits in the same order, the answer is the same with and without.
type guesser struct {
	rate float64 // of the latest guesses, how many were right
	rest int     // tokens until it tries again
}

// guess returns up to limit tokens, a part of text.
func (g *guesser) guess(text []int32, limit int) []int32 {
	if g.rest > 0 {
		g.rest--
		return nil
	}
	if limit = min(limit, 1+int(g.rate*g.rate*maxGuess)); limit <= 0 {
		return nil
	}
	return lookup(text, limit)
}

// learn takes how many of a step's guesses were right.
func (g *guesser) learn(right, guessed int) {
	g.rate += (float64(right)/float64(guessed) - g.rate) / 3
	if g.rate < 0.1 {
		g.rate, g.rest = 0.25, restTokens
	}
}

// lookup finds where the end of text came before, preferably with many tokens before it the same, and late, and
// returns up to n tokens that followed.
func lookup(text []int32, n int) []int32 {
	end := len(text)
	if end <= leastMatch {
		return nil
	}
	last, best, at := text[end-1], leastMatch-1, 0
	for i := end - 1; i > 0 && best < farMatch; i-- { // text[i-1] is compared with the last token
		if text[i-1] != last {
			continue
		}
		same := 1
		for same < farMatch && same < i && text[i-1-same] == text[end-1-same] {
			same++
		}
		if same > best {
			best, at = same, i
		}
	}
	if best < leastMatch {
		return nil
	}
	return text[at:min(end, at+n)]
}

// rowPool holds rows of logits.
type rowPool struct{ sync.Pool }

// copy returns a copy of a row, which its owner puts back.
func (p *rowPool) copy(row []float32) *[]float32 {
	c, ok := p.Get().(*[]float32)
	if !ok {
		c = new([]float32)
	}
	*c = append((*c)[:0], row...)
	return c
}
