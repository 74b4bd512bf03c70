package tokenizer

import "unicode/utf8"

// A patternSplit is one of the well-known regular expressions, written by hand: match is the end of
// the match at i, or i for none. Text between matches is a piece.
type patternSplit struct {
	match func(c *runeClassTable, s string, i int) int
	total bool // there is a match at every position
	spans bool // a match can go across a letter and the space after it

	// Where there is not a match everywhere: marked says that there is one at every letter, mark and white space.
	marked bool
}

func (p *patternSplit) next(s string, at int) (int, int) {
	if at >= len(s) {
		return len(s), len(s)
	}
	c := runeClasses()
	end := p.match(c, s, at)
	if p.total || end > at {
		return at, end
	}
	for end = at; end < len(s); {
		_, n := utf8.DecodeRuneInString(s[end:])
		end += n
		if end < len(s) && p.match(c, s, end) > end {
			break
		}
	}
	return at, end
}

// cutsWords tells whether a letter and a space after it, or a Chinese character and a comma or full stop, are always
// in two pieces.
func (p *patternSplit) cutsWords() bool { return p.total && !p.spans || p.marked }

// The patterns in use, as they are written in tokenizer.json files.
const (
	patternGPT2      = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternGPT2Short = `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternLlama3    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternCL100K    = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
	patternQwen2     = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen35    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternBailing   = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
	patternSeedCoder = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternMiniCPM   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternUfakZeka  = `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternJais2     = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`
	patternExaone    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`
	patternO200K     = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternO200KOne  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternTekken    = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternKimi      = `[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternDeepSeek  = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
	patternSpark     = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+"
	patternCLIP      = `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`
	patternDigits3   = `\p{N}{1,3}`
	patternCJK       = `[一-龥぀-ゟ゠-ヿ]+`
	patternLines     = `[^\n]+|[\n]+`
	// Digits in groups of three, counted from the last: of numbers, of numbers that end a word, and of the text's.
	patternGroups     = `\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`
	patternWordGroups = `\d{1,3}(?=(?:\d{3})*\b)`
	patternBorders    = `(?=(\d{3})+(?!\d))`

	// Runs of a class.
	patternDigit   = `\p{N}`
	patternDigits  = `\p{N}+`
	patternLetters = `\s?\p{L}+`
	patternMarks   = `\s?\p{P}+`
	patternFalcon  = "[\\p{P}\\$\\+<=>\\^~\\|`]+"
	patternDefault = `[\p{P}\$\+<=>\^~\|]+`
	// Words for Hugging Face's Punctuation.
	patternASCIIPunct = "[\\p{P}!-/:-@\\[-`{-~]"

	// Without look-around and classes that grow with each version of Unicode, these are left to Go's engine.
	patternBloom = ` ?[^(\s|.,!?…。，、।۔،)]+`
	// Ideographs, and what a mistaken range takes in: U+0800 to U+4E00.
	patternIdeographs = `[一-龥ࠀ-一가-퟿]+`
	patternYoutuMarks = `[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+`
	patternAsian      = `[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+`
	patternCased      = `\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`
	patternWidePunct  = `\s?[!-/:-~！-／：-～‘-‟　-。]+`
)

var knownPatterns = map[string]*patternSplit{
	patternGPT2:       {match: matchGPT2, total: true},
	patternGPT2Short:  {match: matchGPT2, total: true},
	patternLlama3:     {match: (&gpt4Words{digits: 3, letter: isLetter, tail: lineEnds, spaces: lineSpaces}).match, total: true},
	patternCL100K:     {match: (&gpt4Words{digits: 3, letter: isLetter, tail: lineEnds, spaces: lineSpaces}).match, total: true},
	patternQwen2:      {match: (&gpt4Words{digits: 1, letter: isLetter, tail: lineEnds, spaces: lineSpaces}).match, total: true},
	patternBailing:    {match: (&gpt4Words{digits: 1, letter: isLetter, tail: lineEnds, spaces: lineSpaces}).match, total: true},
	patternQwen35:     {match: (&gpt4Words{digits: 1, letter: isLetter | isMark, tail: lineEnds, spaces: lineSpaces}).match, total: true},
	patternSeedCoder:  {match: (&gpt4Words{digits: 1, letter: isLetter, tail: noTail, spaces: lineSpaces}).match, total: true},
	patternMiniCPM:    {match: (&gpt4Words{digits: anyDigits, letter: isLetter, tail: lineEnds, spaces: lineSpaces}).match, total: true},
	patternUfakZeka:   {match: (&gpt4Words{digits: 1, letter: isLetter, tail: lineEnds, spaces: lineSpaces, whole: true}).match, total: true},
	patternJais2:      {match: (&gpt4Words{digits: 3, letter: isLetter, tail: lineEnds, spaces: halvedSpaces}).match, total: true},
	patternExaone:     {match: (&gpt4Words{digits: 1, letter: isLetter, tail: oneLineEnd, spaces: lineSpaces, phrases: true}).match, total: true, spans: true},
	patternO200K:      {match: (&casedWords{digits: 3, contracted: true, tail: slashes}).match, total: true},
	patternO200KOne:   {match: (&casedWords{digits: 1, contracted: true, tail: slashes}).match, total: true},
	patternTekken:     {match: (&casedWords{digits: 1, tail: slashes}).match, total: true},
	patternKimi:       {match: (&casedWords{digits: 3, contracted: true, tail: lineEnds, apart: isHan}).match, total: true},
	patternDeepSeek:   {match: matchDeepSeek, marked: true},
	patternSpark:      {match: matchSpark, marked: true},
	patternCLIP:       {match: matchCLIP},
	patternDigits3:    {match: matchDigits3},
	patternDigit:      {match: (&classRun{class: isNumber, one: true}).match},
	patternDigits:     {match: (&classRun{class: isNumber}).match},
	patternLetters:    {match: (&classRun{class: isLetter, spaced: true}).match},
	patternMarks:      {match: (&classRun{class: isPunct, spaced: true}).match},
	patternFalcon:     {match: (&classRun{class: isPunct, also: "$+<=>^~|`"}).match},
	patternDefault:    {match: (&classRun{class: isPunct, also: "$+<=>^~|"}).match},
	patternASCIIPunct: {match: (&classRun{class: isPunct, bert: true, one: true}).match},
	patternCJK:        {match: matchCJK},
	patternLines:      {match: matchLines, total: true, spans: true},
	patternBorders:    {match: matchBorders, total: true, spans: true},
}

// knownGroups are the expressions that look ahead to the end of a number.
var knownGroups = map[string]*groupSplit{
	patternGroups:     {digit: isNumber},
	patternWordGroups: {digit: isDigit, word: true},
}
