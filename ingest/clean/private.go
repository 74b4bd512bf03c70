package clean

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"docent/chunker"
)

// The kinds of private data, as PrivateCount and PrivateData name them.
const (
	kindEmail    = "email"
	kindPhone    = "phone"
	kindIDCard   = "id_card"
	kindBankCard = "bank_card"
	kindIP       = "ip"
	kindSecret   = "secret"
)

// A PrivateCount is how often a kind of private data was found and what was done with it.
type PrivateCount struct {
	Kind   string `json:"kind"`
	Count  int    `json:"count"`
	Action string `json:"action"` // "leave", "mask" or "refuse"
}

// A Private is a piece of private data: bytes Start to End of a text.
type Private struct {
	Kind       string
	Start, End int
}

// action is what p says of a kind.
func (p PrivateData) action(kind string) string {
	switch kind {
	case kindEmail:
		return p.Email
	case kindPhone:
		return p.Phone
	case kindIDCard:
		return p.IDCard
	case kindBankCard:
		return p.BankCard
	case kindIP:
		return p.IP
	}
	return p.Secret
}

// maskPrivate counts private data, in the text and in the addresses of links, and masks what is to be
// masked, byte for byte, so that no range moves.
func maskPrivate(doc chunker.Document, p PrivateData) (chunker.Document, []PrivateCount, error) {
	found := FindPrivate(doc.Text)
	inLinks := privateTargets(doc)
	if len(found)+len(inLinks) == 0 {
		return doc, nil, nil
	}
	var counts []PrivateCount
	for _, f := range slices.Concat(found, inLinks) {
		i := slices.IndexFunc(counts, func(c PrivateCount) bool { return c.Kind == f.Kind })
		if i < 0 {
			i = len(counts)
			counts = append(counts, PrivateCount{Kind: f.Kind, Action: p.action(f.Kind)})
		}
		counts[i].Count++
	}
	doc.Text = mask(doc.Text, found, p)
	doc.Title = maskText(doc.Title, p)
	doc.Links = slices.Clone(doc.Links)
	for i, l := range doc.Links {
		doc.Links[i].Target = maskText(l.Target, p)
	}
	var what []string
	for _, c := range counts {
		if c.Action == "refuse" {
			what = append(what, fmt.Sprintf("%d × %s", c.Count, kindInWords[c.Kind]))
		}
	}
	if len(what) > 0 {
		return doc, counts, refused(strings.Join(what, ", "))
	}
	return doc, counts, nil
}

// privateTargets is the private data that only the addresses of links hold, such as that of a mail link on
// the words "write to us"; the ranges are of the addresses.
func privateTargets(doc chunker.Document) (found []Private) {
	seen := map[string]bool{}
	for _, l := range doc.Links {
		for _, f := range FindPrivate(l.Target) {
			if s := l.Target[f.Start:f.End]; !seen[s] {
				seen[s] = true
				if !strings.Contains(doc.Text, s) {
					found = append(found, f)
				}
			}
		}
	}
	return found
}

var kindInWords = map[string]string{
	kindEmail: "e-mail address", kindPhone: "phone number", kindIDCard: "identity card number",
	kindBankCard: "bank card number", kindIP: "IP address", kindSecret: "API key or private key",
}

func maskText(text string, p PrivateData) string { return mask(text, FindPrivate(text), p) }

// mask replaces the letters and digits of what is to be masked or refused by asterisks and keeps the
// rest, so that the reader sees what kind of thing it was.
func mask(text string, found []Private, p PrivateData) string {
	var out []byte
	for _, f := range found {
		if a := p.action(f.Kind); a != "mask" && a != "refuse" {
			continue
		}
		if out == nil {
			out = []byte(text)
		}
		from, to := f.Start, f.End
		if part := text[from:to]; strings.HasPrefix(part, "-----BEGIN") { // its first and last line stay
			from += strings.Index(part[5:], "-----") + 10
			if i := strings.LastIndex(part, "-----END"); i > 0 {
				to = f.Start + i
			}
		}
		for i := from; i < to; i++ {
			if alphanumeric(out[i]) {
				out[i] = '*'
			}
		}
	}
	if out == nil {
		return text
	}
	return string(out)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func alphanumeric(c byte) bool {
	return digit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// A detector finds one kind by a pattern, whose first group, if it has one, is the piece, and a check of
// the piece.
type detector struct {
	kind    string
	where   func(text string) []span // the parts of a text to look through
	pattern *regexp.Regexp
	check   func(text string, start, end int) bool // nil means that the pattern is enough
}

type span struct{ start, end int }

// The order is that of preference: what one detector takes no later one looks at.
var detectors = []detector{
	{kindSecret, containing("PRIVATE KEY"), regexp.MustCompile(`-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s:,.()-]*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)`), nil},
	// Amazon, GitHub, GitLab, OpenAI and Anthropic, Slack, Google, npm, Hugging Face, Stripe, Alibaba Cloud,
	// Tencent Cloud, JSON Web Tokens: by the shapes their makers document.
	{kindSecret, containing("AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-", "xox", "AIza", "npm_", "hf_", "_live_", "_test_", "LTAI", "AKID", "eyJ"),
		regexp.MustCompile(`(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|sk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z]{34}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|LTAI[A-Za-z0-9]{12,20}|AKID[A-Za-z0-9]{32}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,}`), aKey},
	// A name that says so, and a value that looks made by a machine.
	{kindSecret, longWords, regexp.MustCompile(`(?i)(?:key|secret|token|passw(?:or)?d|密码|密钥)["']?\s*(?:[:=：]|=>)\s*["']?([A-Za-z0-9_+/=.~-]{12,128})`), machineMade},
	// What people choose as passwords is shorter, and more like words.
	{kindSecret, containing("assw", "ASSW", "pwd", "Pwd", "PWD", "密码", "密碼", "口令"), regexp.MustCompile(`(?i)(?:\bpassw(?:or)?d|\bpwd|密码|密碼|口令)["']?\s*(?:[:=：]|=>)\s*["']?([!-~]{6,64})`), password},
	{kindEmail, containing("@"), regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}`), emailAddress},
	{kindIDCard, numbers, regexp.MustCompile(`[1-8][0-9]{16}[0-9Xx]`), chineseID},
	{kindBankCard, numbers, regexp.MustCompile(`[2-69][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}|3[0-9]{3}[ -]?[0-9]{6}[ -]?[0-9]{4,5}|62[0-9]{4}[ -][0-9]{10,13}`), bankCard},
	// +86, 0086 and bare Chinese mobiles; Chinese landlines and 400/800 numbers; international numbers;
	// numbers of North America.
	{kindPhone, numbers, regexp.MustCompile(`(?:(?:\+|00)86[ -]?)?1[3-9][0-9](?:[ -]?[0-9]{4}){2}`), standsAlone},
	{kindPhone, numbers, regexp.MustCompile(`(?:(?:\+|00)86[ -]?)?(?:\(0[1-9][0-9]{1,2}\)[ -]?|0[1-9][0-9]{1,2}[ -])[2-9][0-9]{6,7}|[48]00-[0-9]{3}-?[0-9]{4}`), standsAlone},
	{kindPhone, numbers, regexp.MustCompile(`\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,5}\)?){2,6}`), internationalNumber},
	{kindPhone, numbers, regexp.MustCompile(`(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-.][0-9]{4}`), standsAlone},
	{kindIP, numbers, regexp.MustCompile(`[0-9]{1,3}(?:\.[0-9]{1,3}){3}`), ipv4},
	{kindIP, containing("::", ":"), regexp.MustCompile(`[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{2,35}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?|::[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){1,6}`), ipv6},
}

// FindPrivate finds private data in text, ascending and without overlap.
func FindPrivate(text string) []Private {
	var found []Private
	taken := func(start, end int) bool { // by an earlier detector
		i := sort.Search(len(found), func(i int) bool { return found[i].Start >= end })
		return i > 0 && found[i-1].End > start
	}
	for _, d := range detectors {
		var more []Private
		for _, w := range d.where(text) {
			for _, m := range d.pattern.FindAllStringSubmatchIndex(text[w.start:w.end], -1) {
				start, end := w.start+m[0], w.start+m[1]
				if len(m) > 2 && m[2] >= 0 {
					start, end = w.start+m[2], w.start+m[3]
				}
				if (d.check == nil || d.check(text, start, end)) && !taken(start, end) {
					more = append(more, Private{d.kind, start, end})
				}
			}
		}
		if len(more) > 0 {
			found = append(found, more...)
			slices.SortFunc(found, func(a, b Private) int { return a.Start - b.Start })
		}
	}
	return found
}

// Patterns cost a hundred times what a search for bytes costs, and most text is words: so detectors look
// only where what they find can be.

// numbers yields the runs of digits, and of what stands between digits in numbers, that have at least
// four digits.
func numbers(text string) []span {
	var spans []span
	start, last, n := -1, 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) {
			switch c := text[i]; {
			case digit(c):
				if start < 0 {
					start = i
				}
				n++
				last = i + 1
				continue
			case c == '(' || c == '+':
				if start < 0 {
					start = i
				}
				continue
			case start >= 0 && (c == ' ' || c == '-' || c == '.' || c == ')') && i < last+3:
				continue
			}
		}
		if n >= 4 {
			if last < len(text) && (text[last] == 'X' || text[last] == 'x') {
				last++ // the check digit of an identity card
			}
			spans = append(spans, span{start, last})
		}
		start, n = -1, 0
	}
	return spans
}

// containing returns a function that yields all of a text in which one of the words is.
func containing(words ...string) func(string) []span {
	return func(text string) []span {
		for _, w := range words {
			if strings.Contains(text, w) {
				return []span{{0, len(text)}}
			}
		}
		return nil
	}
}

// longWords yields each run of at least twelve bytes of letters, digits and marks of which some, but not
// all, are digits, with what stands before it.
func longWords(text string) []span {
	var spans []span
	start, n := 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) {
			c := text[i]
			if digit(c) {
				n++
				continue
			}
			if alphanumeric(c) || strings.IndexByte("_+/=.~-", c) >= 0 {
				continue
			}
		}
		if n >= 2 && n < i-start && i-start >= 12 {
			spans = append(spans, span{max(start-24, 0), i})
		}
		start, n = i+1, 0
	}
	return spans
}

// standsAlone tells that no letter or digit touches bytes start to end, nor a dot or dash with a digit
// beyond it: the piece is not a part of a longer number or name.
func standsAlone(text string, start, end int) bool {
	if start > 0 {
		c := text[start-1]
		if alphanumeric(c) || c == '_' || c == '+' || (c == '.' || c == '-') && start > 1 && digit(text[start-2]) {
			return false
		}
	}
	if end < len(text) {
		c := text[end]
		if alphanumeric(c) || c == '_' || (c == '.' || c == '-') && end+1 < len(text) && digit(text[end+1]) {
			return false
		}
	}
	return true
}

// aKey wants digits, unless the pattern has done with letters: "sk-" begins words too.
func aKey(text string, start, end int) bool {
	return standsAlone(text, start, end) && (strings.ContainsAny(text[start:end], "0123456789") || strings.HasPrefix(text[start:end], "hf_"))
}

func emailAddress(text string, start, end int) bool {
	domain := text[start:end]
	switch strings.ToLower(domain[strings.LastIndexByte(domain, '.')+1:]) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js": // logo@2x.png
		return false
	}
	return text[start] != '.' && !strings.Contains(text[start:end], "..")
}

// chineseID checks the number of a Chinese identity card: region, date of birth, and the check digit of
// GB 11643-1999 (ISO 7064, MOD 11-2).
func chineseID(text string, start, end int) bool {
	id := text[start:end]
	if !standsAlone(text, start, end) || id[:2] < "11" || id[:2] > "83" {
		return false
	}
	born, err := time.Parse("20060102", id[6:14])
	if err != nil || born.Year() < 1900 || born.After(time.Now()) {
		return false
	}
	sum := 0
	for i, weight := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += weight * int(id[i]-'0')
	}
	return "10X98765432"[sum%11] == strings.ToUpper(id)[17]
}

// bankCard checks the length, the issuer's range and the check digit (ISO/IEC 7812, Luhn) of a card.
func bankCard(text string, start, end int) bool {
	if !standsAlone(text, start, end) {
		return false
	}
	number := make([]byte, 0, 19)
	for _, c := range []byte(text[start:end]) {
		if digit(c) {
			number = append(number, c)
		}
	}
	n, s := len(number), string(number)
	prefix := func(k int) int { v, _ := strconv.Atoi(s[:k]); return v }
	switch {
	case n < 13 || n > 19:
		return false
	case s[0] == '4' && (n == 13 || n == 16 || n == 19): // Visa
	case n == 16 && (prefix(2) >= 51 && prefix(2) <= 55 || prefix(4) >= 2221 && prefix(4) <= 2720): // Mastercard
	case n == 15 && (prefix(2) == 34 || prefix(2) == 37): // American Express
	case n >= 16 && (prefix(2) == 62 || prefix(4) >= 8100 && prefix(4) <= 8171): // UnionPay
	case n >= 16 && (prefix(4) == 6011 || prefix(2) == 65 || prefix(3) >= 644 && prefix(3) <= 649): // Discover
	case n == 16 && prefix(4) >= 3528 && prefix(4) <= 3589: // JCB
	case n == 14 && (prefix(3) >= 300 && prefix(3) <= 305 || prefix(2) == 36 || prefix(2) == 38): // Diners Club
	case n == 19 && (prefix(4) == 9558 || prefix(4) == 6013 || prefix(5) == 60138), n == 16 && prefix(4) == 6013: // Chinese debit cards of before UnionPay
	default:
		return false
	}
	return luhn(number) && strings.Trim(s, s[:1]) != ""
}

// luhn is the check of ISO/IEC 7812-1, annex B.
func luhn(number []byte) bool {
	sum := 0
	for i, c := range number {
		d := int(c - '0')
		if (len(number)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// internationalNumber wants the 8 to 15 digits of ITU-T E.164.
func internationalNumber(text string, start, end int) bool {
	n := 0
	for i := start; i < end; i++ {
		if digit(text[i]) {
			n++
		}
	}
	return n >= 8 && n <= 15 && standsAlone(text, start, end) && strings.Count(text[start:end], "(") == strings.Count(text[start:end], ")")
}

// ipv4 leaves out version numbers, and addresses that are nobody's: loopback, unspecified, broadcast.
func ipv4(text string, start, end int) bool {
	if !standsAlone(text, start, end) {
		return false
	}
	addr, err := netip.ParseAddr(text[start:end])
	if err != nil || addr.IsLoopback() || addr.IsUnspecified() || text[start:end] == "255.255.255.255" || strings.HasPrefix(text[start:end], "255.") {
		return false
	}
	return !versionBefore.MatchString(text[max(0, start-16):start])
}

// versionBefore matches what says that four numbers are no address. Words are whole ones: "server" ends in "ver".
var versionBefore = regexp.MustCompile(`(?i)(?:\b(?:version|ver\.?|v\.?|release|section|clause)|版本?|§)[ :：]*$`)

// ipv6 wants what cannot be a time or a name in a program: digits, and at least three groups.
func ipv6(text string, start, end int) bool {
	if start > 0 && (alphanumeric(text[start-1]) || text[start-1] == ':') || end < len(text) && (alphanumeric(text[end]) || text[end] == ':') {
		return false
	}
	addr, err := netip.ParseAddr(text[start:end])
	if err != nil || !addr.Is6() || addr.IsLoopback() || addr.IsUnspecified() {
		return false
	}
	groups := 0
	for _, g := range strings.Split(text[start:end], ":") {
		if g != "" {
			groups++
		}
	}
	return groups >= 3 && strings.ContainsAny(text[start:end], "0123456789")
}

// password tells what can be one from words about passwords: it holds a digit, and is no address of the web.
func password(text string, start, end int) bool {
	s := text[start:end]
	return strings.ContainsAny(s, "0123456789") && !strings.Contains(s, "://")
}

// machineMade tells keys and generated passwords from words: letters and digits mixed, and many
// different ones.
func machineMade(text string, start, end int) bool {
	s := text[start:end]
	var letters, numbers int
	different := map[rune]bool{}
	for _, r := range s {
		different[r] = true
		if r >= '0' && r <= '9' {
			numbers++
		} else if r >= 'A' && r <= 'z' {
			letters++
		}
	}
	return letters >= 3 && numbers >= 2 && len(different) >= 8 && len(different)*3 >= len(s)
}
