package chain

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"docent/internal/prose"
)

var (
	// How models say that the passages hold no answer, beside the sentence that the prompt gives them.
	declines = regexp.MustCompile(`(?i)` +
		`\b(?:documents?|passages?|texts?|contexts?|sources?|excerpts?|materials?|information|they|it)\b[^.!?\n]{0,80}\b(?:do not|does not|don't|doesn't|did not|didn't|cannot|can't|no|never|lacks?|without)\b[^.!?\n]{0,60}\b(?:hold|contain|mention|provide|include|state|say|specify|answer|give|address|cover|discuss|describe|indicate|information|details?)` +
		`|\b(?:cannot|can't|can not|could not|couldn't|(?:am|are|is|was) (?:not able|unable) to)\b[^.!?\n]{0,30}\b(?:find|answer|determine|tell|say|provide)\b` +
		`|\b(?:there is|there's|there are|i found|i have|i find) no (?:\w+ )?(?:information|mention|answer|details?|data)` +
		`|\bno (?:relevant |specific |such )?(?:information|answer|details)\b[^.!?\n]{0,30}\b(?:found|available|provided|given|in the)\b` +
		`|\bnot (?:\w+ )?(?:mentioned|stated|specified|provided|found|available|answered|given|contained|covered|addressed|discussed)\b[^.!?\n]{0,20}\b(?:in|by) (?:the|any|these|your)\b[^.!?\n]{0,20}\b(?:documents?|passages?|texts?|contexts?|sources?)` +
		`|(?:文档|文檔|文件|段落|资料|資料|材料|文中|文章|内容|內容|上下文|知识库|来源|來源|信息)[^。！？\n]{0,30}(?:没有|沒有|未|无|無|不包含|不含|找不到|并未|不足以|不能)[^。！？\n]{0,30}(?:答案|提到|提及|说明|說明|提供|包含|信息|資訊|找到|回答|涉及|记载|記載|给出|写明|相关|相關|确定)` +
		`|(?:无法|無法|不能|不足以)[^。！？\n]{0,30}(?:回答|确定|確定|找到|得知|判断|作答)` +
		`|(?:没有|沒有|未能?|找不到)[^。！？\n]{0,12}(?:找到|提及|提到|答案|相关信息|相关内容|相關資訊|相关的信息)`)
	butStill = regexp.MustCompile(`(?i)\b(?:but|however|although|though|nevertheless|still)\b|但|不过|不過|然而|虽然|雖然`)
)

const (
	declineRunes     = 300 // a longer text says something
	declineSentences = 3
)

// declined reports whether an answer says that the documents hold none.
func declined(answer string) bool {
	cited := len(markers(answer)) > 0
	text := strings.TrimSpace(withoutMarkers(answer))
	for _, lang := range []string{"en", "zh"} {
		canned := declineText(lang)
		if strings.EqualFold(strings.Trim(text, "\"'“”*.。 "), strings.Trim(canned, ".。")) {
			return true
		}
	}
	spans := prose.Sentences(text)
	if len(spans) == 0 || len(spans) > declineSentences || utf8.RuneCountInString(text) > declineRunes {
		return false
	}
	if !declines.MatchString(text[spans[0].Start:spans[0].End]) {
		return false
	}
	// "The documents do not mention X, but Y is Z [1]." answers as far as it can.
	return !cited || len(spans) == 1 && !butStill.MatchString(text)
}
