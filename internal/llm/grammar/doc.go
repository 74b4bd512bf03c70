// Package grammar keeps a language model to a form: a GBNF grammar, a regular expression, a JSON schema or
// any JSON.
//
//	g, err := grammar.Schema([]byte(`{"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}`))
//	if err != nil { … }
//	m := g.Matcher(grammar.NewVocabulary(pieces, ends))
//	for … {
//		err := m.Mask(logits, left) // tokens that may not come have -Inf
//		…
//		err = m.Accept(id)
//	}
//
// Whatever the source, an [Expr] is made of it and compiled to a pushdown automaton over bytes, so that
// tokens may end within a character. Its configurations are sets of stacks; the steps between them are kept
// as they are found, so that a text that was seen once costs a table look-up for each byte. Which tokens
// may come is worked out as XGrammar does (Dong et al. 2024): most of the vocabulary is decided by the state
// on top of a stack alone, once for each such state; only tokens that leave the rule they begin in are
// looked at with the whole stack.
//
// Every configuration that can be reached has a way to the end, and where few tokens are left only those
// are allowed that leave enough for the shortest one: an answer of limited length is complete wherever its
// limit allows that, counted in bytes.
//
// Sources are not trusted: their size, depth and the size of what is made of them are bounded, and errors
// wrap [ErrSyntax], [ErrUnsupported] or [ErrTooLarge]. A [Grammar] and a [Vocabulary] are safe for
// concurrent use, a [Matcher] is not.
package grammar
