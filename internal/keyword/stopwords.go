package keyword

import "strings"

func set(words string) map[string]bool {
	m := make(map[string]bool)
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// stopWords are English words of grammar and of asking. They are indexed, so that "to be or not to be"
// is found, and count little in a query that has other words.
var stopWords = set(`a about above after again against all also am an and any are arent as at be because been before being below
	between both but by can cant could couldnt did didnt do does doesnt doing dont down during each etc few for from further had hadnt
	has hasnt have havent having he her here hers herself him himself his how i if im in into is isnt it its itself ive just let lets
	may me might more most must my myself no nor not of off on once only or other our ours ourselves out over own please same shall she
	should shouldnt so some such tell than that thats the their theirs them themselves then there these they this those through to too
	under until up upon us very was wasnt we were werent what whats when where which while who whom whose why will with within without
	would wouldnt you your yours yourself yourselves`)

func isStop(folded string) bool { return stopWords[folded] }

// functionPairs are Chinese words of asking and of grammar.
var functionPairs = set(`什么 甚么 怎么 怎样 如何 哪个 哪些 哪里 哪儿 哪位 哪种 多少 几个 为何 为什 何时 何地 是谁 是否 是什 么是 请问 有什
	有哪 是哪 在哪 可以 能否 多久 多长 多大 一个 这个 那个 的是 是的`)

// functionCharacters are Chinese characters of grammar and of asking.
var functionCharacters = set(`的 了 是 在 吗 呢 吧 啊 么 和 与 及 或 也 都 就 而 被 把 从 对 于 以 之 其 为 何 哪 谁 什 怎 这 那 几 个 们 着 过 得 地 有 请 问`)
