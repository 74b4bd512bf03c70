package llm

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/internal/prose"
)

// weights are what bench/extractive/fit.py fits. order ranks the sentences of one question: a conditional
// logit, scaled so that its value is the share of questions whose best sentence is right. trust says of the
// best sentence whether the answer is among the passages at all, which is another matter: how well a
// passage fits counts for more there, and how it compares with the others for less. Below least nothing
// is quoted.
type weights struct {
	order, trust linear
	least        float64
}

// linear is a logistic regression: a weight for each of the features, and a bias.
type linear struct {
	Features
	bias float64
}

// of is the value for f, 0 to 1.
func (l *linear) of(f Features) float64 {
	w := &l.Features
	z := l.bias + w.Cover*f.Cover + w.CoverNear*f.CoverNear + w.CoverPassage*f.CoverPassage + w.Chars*f.Chars +
		w.Rank*f.Rank + w.Kind*f.Kind + w.Numbers*f.Numbers + w.News*f.News + w.Length*f.Length +
		w.Pairs*f.Pairs + w.Names*f.Names + w.Cosine*f.Cosine + w.Similarity*f.Similarity + w.Margin*f.Margin
	return 1 / (1 + math.Exp(-z))
}

// The thresholds decline about three of a hundred questions whose right passage was found, on sets that
// were not fitted to: fitted to squad2-public, 0.9 % of xquad-en and 0.8 % of hotpotqa-dev200; to xquad-en,
// 3.7 % of squad2-public; to drcd-dev, 2.4 % of xquad-zh; to xquad-zh, 2.8 % of drcd-dev. Of questions about
// other things they decline 95 to 99 % (Chinese 82 to 96 %), of those whose right passage is taken out from
// among its cousins 27 to 62 %. Of the questions of SQuAD 2 that its passage only seems to answer they
// decline 7 %: that is beyond this evidence.
//
// Fitted to 350 questions of xquad-en with 345 of squad2-public (withEncoder; 400 each for byKeywords), and to
// halves of 500 of drcd-dev with xquad-zh.
var (
	withEncoder = weights{
		order: linear{Features{
			Cover: 3.727, CoverNear: 1.669, CoverPassage: 0.793, Rank: 2.389, Kind: 0.895, Numbers: 0.486, News: -0.107,
			Length: 0.521, Pairs: 0.898, Names: 0.453, Cosine: 3.212, Similarity: 1.040, Margin: 1.040,
		}, -11.234},
		trust: linear{Features{
			Cover: 1.801, CoverNear: 1.589, CoverPassage: 1.857, Rank: 0.674, Kind: 0.122, Numbers: 0.578, News: -0.003,
			Length: 0.146, Pairs: 1.456, Names: 1.372, Cosine: 3.081, Similarity: 1.571, Margin: 1.684,
		}, -7.706},
		least: 0.2,
	}
	byKeywords = weights{
		order: linear{Features{
			Cover: 4.384, CoverNear: 1.886, CoverPassage: 0.867, Rank: 3.232, Kind: 1.020, Numbers: 0.496, News: -0.004,
			Length: 0.367, Pairs: 1.298, Names: 0.677,
		}, -10.006},
		trust: linear{Features{
			Cover: 1.923, CoverNear: 1.982, CoverPassage: 2.562, Rank: 1.350, Kind: 0.181, Numbers: 0.535, News: -0.106,
			Length: 0.285, Pairs: 2.193, Names: 1.642,
		}, -7.106},
		least: 0.15,
	}
	inChinese = weights{
		order: linear{Features{
			Cover: 2.515, CoverNear: 1.781, CoverPassage: 1.722, Chars: 3.825, Rank: 2.836, Kind: 0.778, Numbers: 1.075,
			News: -0.010, Length: 0.007, Pairs: 0.120, Names: 0.162,
		}, -9.251},
		trust: linear{Features{
			Cover: 1.645, CoverNear: 2.446, CoverPassage: 2.890, Chars: 3.192, Rank: 1.150, Kind: -0.041, Numbers: 1.318,
			News: 0.006, Length: -0.374, Pairs: 0.502, Names: 0.397,
		}, -4.612},
		least: 0.2,
	}
)

// The kinds of thing a question asks for.
const (
	anyKind = iota
	person
	date
	quantity
	place
)

var (
	asksWhether  = regexp.MustCompile(`(?i)^\s*(is|are|was|were|do|does|did|can|could|may|must|should|will|would|has|have|had)\b|[吗嗎]\s*[?？]?\s*$|是否|是不是|能否|能不能|可不可以|可否|有没有|有沒有|会不会|要不要`)
	asksPerson   = regexp.MustCompile(`(?i)\b(who|whom|whose)\b|谁|誰|哪位|哪个人|哪一位|何人|什么人`)
	asksDate     = regexp.MustCompile(`(?i)\b(when|(what|which|in what|in which) (year|date|month|day|decade|century))\b|何时|何時|什么时候|什麼時候|什么时间|什麼時間|哪一?年|何年|哪天|几月|幾月|几号|幾號|几日|几点|幾點|周几|星期几|日期|年份`)
	asksQuantity = regexp.MustCompile(`(?i)\bhow (many|much|long|old|far|tall|high|large|big|often|fast|deep|heavy)\b|\bwhat (percentage|number|amount|proportion|fraction|age|temperature|price)\b|多少|多久|多长|多長|多大|多高|多远|多重|几[个天年次种小位人岁周分元克米度级]|幾[個天年次種小位人歲週分元克米度級]|百分之几`)
	asksPlace    = regexp.MustCompile(`(?i)\bwhere\b|\b(what|which) (country|city|state|town|continent|region|county|province)\b|哪里|哪裡|哪儿|何地|何处|何處|哪个(国家|城市|地方|省)|哪個(國家|城市|地方|省)|什么地方|什麼地方`)

	holdsDate     = regexp.MustCompile(`(?i)\b(1[0-9]{3}|20[0-9]{2})s?\b|\b(january|february|march|april|may|june|july|august|september|october|november|december|century|monday|tuesday|wednesday|thursday|friday|saturday|sunday|midnight|noon)\b|\b[0-9]{1,2}:[0-9]{2}\b|[0-9０-９一二三四五六七八九十〇零]+\s*(年|月|日|号|號|世纪|世紀|点|點|时|時)|(周|星期)[一二三四五六日天]|年间|年間|时期|時期|朝`)
	holdsQuantity = regexp.MustCompile(`(?i)[0-9０-９]|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|million|billion|half|third|quarter|dozen|percent|once|twice)\b|[一二三四五六七八九十百千万萬亿億两兩半][个個天日年月次种種小位人岁歲元米公克名条條周週分倍转轉度级級]`)
	holdsPlace    = regexp.MustCompile(`\b(?:in|at|near|from|to|of)\s+(?:the\s+)?\p{Lu}|[省市县縣区區国國州岛島村镇鎮山河路街洲]`)
)

func kindAsked(question string) int {
	switch {
	case asksQuantity.MatchString(question):
		return quantity
	case asksDate.MatchString(question):
		return date
	case asksPerson.MatchString(question):
		return person
	case asksPlace.MatchString(question):
		return place
	}
	return anyKind
}

// kindOf is 1 when sentence holds the kind asked for beyond what the question says itself, -1 when it
// does not, and 0 when that cannot be told.
func kindOf(asked int, sentence, question string) float64 {
	holds := func(re *regexp.Regexp) float64 {
		for _, m := range re.FindAllString(sentence, -1) {
			if !strings.Contains(question, m) {
				return 1
			}
		}
		return -1
	}
	switch asked {
	case date:
		return holds(holdsDate)
	case quantity:
		return holds(holdsQuantity)
	case place:
		return holds(holdsPlace)
	case person:
		if prose.IsChinese(sentence) {
			return 0 // Chinese names carry no mark
		}
		// A capital inside the sentence that the question does not have is likely a name.
		inside := false
		for w := range strings.FieldsSeq(sentence) {
			r, _ := utf8.DecodeRuneInString(strings.TrimLeft(w, `"'“‘(`))
			name := strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) })
			if inside && unicode.IsUpper(r) && len(name) > 1 && !strings.Contains(question, name) {
				return 1
			}
			inside = true
		}
		return -1
	}
	return 0
}
