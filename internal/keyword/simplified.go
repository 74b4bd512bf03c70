package keyword

// simplified returns the simplified form of a traditional Chinese character, or c itself.
func simplified(c string) string {
	if s, ok := toSimplified[c]; ok {
		return s
	}
	return c
}

var toSimplified = map[string]string{}
