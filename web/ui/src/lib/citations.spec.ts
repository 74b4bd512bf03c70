import type { Paragraph, Root } from "mdast";
import { describe, expect, it } from "vitest";
import { type Piece, remarkCitations, splitCitations } from "./citations";

describe("splitCitations", () => {
  const known = new Set([1, 2, 3]);
  const cases: [string, string, Piece[]][] = [
    ["none", "plain", [{ text: "plain" }]],
    ["one", "a[1].", [{ text: "a" }, { cite: 1 }, { text: "." }]],
    [
      "a blank before is kept together",
      "a [1] b",
      [{ text: "a\u00a0" }, { cite: 1 }, { text: " b" }],
    ],
    ["neighbours", "a[1][2]", [{ text: "a" }, { cite: 1 }, { cite: 2 }]],
    ["a list", "a[1, 3]", [{ text: "a" }, { cite: 1 }, { cite: 3 }]],
    [
      "chinese brackets and comma",
      "十五天【1，2】。",
      [{ text: "十五天" }, { cite: 1 }, { cite: 2 }, { text: "。" }],
    ],
    ["unknown number stays", "see [9]", [{ text: "see [9]" }]],
    ["partly unknown list stays", "see [1, 9]", [{ text: "see [1, 9]" }]],
    ["a year is not a citation", "[2024]", [{ text: "[2024]" }]],
  ];
  for (const [name, text, want] of cases)
    it(name, () => expect(splitCitations(text, known)).toEqual(want));
});

describe("remarkCitations", () => {
  it("leaves code and links alone, and reaches nested text", () => {
    const paragraph: Paragraph = {
      type: "paragraph",
      children: [
        { type: "inlineCode", value: "a[1]" },
        { type: "link", url: "https://example.com", children: [{ type: "text", value: "[1]" }] },
        { type: "strong", children: [{ type: "text", value: "bold[1]" }] },
      ],
    };
    const tree: Root = { type: "root", children: [paragraph] };
    remarkCitations({ known: new Set([1]) })(tree);
    expect(paragraph.children[0]).toEqual({ type: "inlineCode", value: "a[1]" });
    expect(paragraph.children[1]).toMatchObject({ children: [{ type: "text", value: "[1]" }] });
    expect(paragraph.children[2]).toMatchObject({
      children: [
        { type: "text", value: "bold" },
        { data: { hName: "cite", hProperties: { "data-n": "1" } } },
      ],
    });
  });
});
