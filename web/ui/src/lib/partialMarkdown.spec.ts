import { describe, expect, it } from "vitest";
import { completeMarkdown } from "./partialMarkdown";

describe("completeMarkdown", () => {
  const cases: [string, string, string][] = [
    ["empty", "", ""],
    ["plain", "Hello there", "Hello there"],
    ["whole markdown is unchanged", "**a** `b` [c](d) *e*\n\n- f", "**a** `b` [c](d) *e*\n\n- f"],
    ["open bold", "so **very", "so **very**"],
    ["open bold with a blank", "so **very ", "so **very** "],
    ["half a closing bold", "so **very*", "so **very**"],
    ["a lone opener waits", "so **", "so "],
    ["open italic in bold", "**a *b", "**a *b***"],
    ["arithmetic is not emphasis", "2 * 3 * 4", "2 * 3 * 4"],
    ["snake_case is not emphasis", "use max_tokens and top_k", "use max_tokens and top_k"],
    ["open strike", "~~gone", "~~gone~~"],
    ["open code", "run `make te", "run `make te`"],
    ["a lone tick waits", "run `", "run "],
    ["stars in code are code", "`a*b` **c", "`a*b` **c**"],
    ["open fence", "text\n\n```go\nfunc", "text\n\n```go\nfunc\n```"],
    ["half a closing fence", "```\na\n``", "```\na\n```"],
    ["closed fence, then open bold", "```\na **b\n```\n**c", "```\na **b\n```\n**c**"],
    ["half a link shows its words", "see [the docs](https://exa", "see the docs"],
    ["half a label shows its words", "see [the do", "see the do"],
    ["half an image waits", "see ![a pic", "see "],
    ["half a citation waits", "fifteen days [1", "fifteen days "],
    ["half a list of citations waits", "fifteen days [1, ", "fifteen days "],
    ["whole citation stays", "fifteen days [1]", "fifteen days [1]"],
    ["a setext heading in the making", "Title\n-", "Title"],
    ["a list marker waits for its text", "a\n\n- b\n-", "a\n\n- b"],
    ["a table header waits", "| a | b |", ""],
    ["a delimiter row in the making", "| a | b |\n| -", ""],
    [
      "a table shows whole rows",
      "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |",
      "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |",
    ],
    [
      "half a row waits",
      "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | fo",
      "| a | b |\n|---|---|\n| 1 | 2 |",
    ],
    ["an escape waits", "a \\", "a "],
    ["chinese", "每年**十五", "每年**十五**"],
  ];
  for (const [name, text, want] of cases) it(name, () => expect(completeMarkdown(text)).toBe(want));

  it("never throws or grows without bound, however the text is cut", () => {
    const text =
      "# A\n\n**b _c_** `d` [e](f) ![g](h)\n\n| i | j |\n|--|--|\n| k | l |\n\n```x\n*y\n```\n1. z [1][2, 3] \\* ~~m~~";
    for (let i = 0; i <= text.length; i++) {
      const out = completeMarkdown(text.slice(0, i));
      expect(out.length).toBeLessThanOrEqual(i + 8);
    }
    expect(completeMarkdown(text)).toBe(text);
  });
});
