package chain

// Check is what every answer over numbered passages goes through before a reader sees it, the agent's
// too. It writes the citations in answer as [n], takes out those that point at none of passages, whose
// numbers run from 1, and resolves the others. An answer that cites nothing is given the citations that
// are beyond doubt. question is what was asked; it may be empty.
func Check(answer, question string, passages []Passage) (string, []Citation) {
	f := filter{passages: len(passages), state: inAnswer}
	f.write(answer)
	f.close()
	text, _ := f.result()
	citations := cite(text, question, passages)
	if len(citations) == 0 && len(passages) > 0 {
		if attached := attach(text, passages); attached != text {
			text = attached
			citations = cite(text, question, passages)
		}
	}
	return text, citations
}
