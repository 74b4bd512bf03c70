import { describe, expect, it } from "vitest";
import type { Content } from "../types/api";
import { layOut, safeHref, tableCells } from "./documentModel";

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text).length;

/** Builds a document out of blocks, with offsets in bytes as the server gives them. */
function build(
  parts: [NonNullable<Content["blocks"]>[number]["kind"], string, number?][],
): Content {
  let text = "";
  const blocks: NonNullable<Content["blocks"]> = [];
  for (const [kind, body, level] of parts) {
    if (text !== "") text += "\n\n";
    const start = bytes(text);
    text += body;
    blocks.push({ kind, start, end: bytes(text), level });
  }
  return { text, blocks };
}

function rangeOf(content: Content, quote: string) {
  const start = bytes(content.text.slice(0, content.text.indexOf(quote)));
  return { start, end: start + bytes(quote) };
}

const shown = (content: Content, quote?: string) =>
  layOut(content, quote === undefined ? undefined : rangeOf(content, quote));

describe("layOut", () => {
  const content = build([
    ["heading", "# 员工手册 😀", 1],
    ["paragraph", "年假十五天。第二年起增加。"],
    ["list_item", "- 病假", 1],
    ["list_item", "2. 事假", 1],
    ["code", "```go\nx := 1\n```"],
    ["quote", "> said"],
  ]);

  it("takes off the Markdown its kinds already say", () => {
    const view = shown(content);
    expect(
      view.blocks.map((block) => [
        block.kind,
        block.bullet,
        block.runs.map((run) => run.text).join(""),
      ]),
    ).toEqual([
      ["heading", undefined, "员工手册 😀"],
      ["paragraph", undefined, "年假十五天。第二年起增加。"],
      ["list_item", "•", "病假"],
      ["list_item", "2.", "事假"],
      ["code", undefined, "x := 1"],
      ["quote", undefined, "said"],
    ]);
    expect(view.firstMarked).toBe(-1);
  });

  it("marks exactly the quote after wide characters", () => {
    const view = shown(content, "第二年起");
    expect(view.firstMarked).toBe(1);
    expect(view.blocks[1]?.runs).toEqual([
      { text: "年假十五天。", marked: false, page: undefined },
      { text: "第二年起", marked: true, page: undefined },
      { text: "增加。", marked: false, page: undefined },
    ]);
  });

  it("marks a quote over several blocks", () => {
    const view = shown(content, "增加。\n\n- 病");
    expect(view.blocks.map((block) => block.marked)).toEqual([
      false,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(view.blocks[2]?.runs.map((run) => [run.text, run.marked])).toEqual([
      ["病", true],
      ["假", false],
    ]);
  });

  it("draws pages before and inside blocks, also inside a marked quote", () => {
    const paged: Content = { ...content, pages: [] };
    const middle = rangeOf(content, "第二年").start;
    paged.pages = [
      { number: 1, label: "iv", start: 0, end: middle },
      { number: 2, start: middle, end: bytes(content.text) },
    ];
    const view = layOut(paged, rangeOf(content, "天。第二年"));
    expect(view.blocks[0]?.page).toBe("iv");
    expect(view.blocks[1]?.runs.map((run) => [run.text, run.marked, run.page])).toEqual([
      ["年假十五", false, undefined],
      ["天。", true, undefined],
      ["第二年", true, "2"],
      ["起增加。", false, undefined],
    ]);
    expect(view.pages).toEqual([
      { label: "iv", block: 0 },
      { label: "2", block: 1 },
    ]);
  });

  it("marks inside a table's cells", () => {
    const table = build([["table", "| 名称 | 天数 |\n|---|:-:|\n| 年假 | 15 天 |"]]);
    const view = shown(table, "15 天");
    expect(
      view.blocks[0]?.rows?.map((row) =>
        row.map((cell) => cell.runs.map((run) => [run.text, run.marked])),
      ),
    ).toEqual([
      [[["名称", false]], [["天数", false]]],
      [[["年假", false]], [["15 天", true]]],
    ]);
  });

  it("shows text without structure by paragraphs", () => {
    const plain: Content = { text: "一二三\n四\n\n五六", blocks: null };
    const view = layOut(plain, rangeOf(plain, "五"));
    expect(view.blocks.map((block) => block.runs.map((run) => run.text).join(""))).toEqual([
      "一二三\n四",
      "五六",
    ]);
    expect(view.firstMarked).toBe(1);
  });
});

describe("tableCells", () => {
  const cells = (text: string) =>
    tableCells(text, { start: 0, end: text.length })?.map((row) =>
      row.map((cell) => text.slice(cell.start, cell.end)),
    );
  it("reads escaped pipes, empty cells and missing borders", () => {
    expect(cells("a | b\n--- | ---\n1 \\| 2 |  ")).toEqual([["a", "b"], ["1 \\| 2"]]);
    expect(cells("| a | b |\n|---|---|\n|  | 2 |")).toEqual([
      ["a", "b"],
      ["", "2"],
    ]);
  });
  it("refuses what is no table", () => {
    expect(cells("just a line")).toBeUndefined();
  });
});

describe("links", () => {
  const content = build([
    ["heading", "规定 Rules", 2],
    ["paragraph", "See the 规定 page, or ask."],
    ["table", "| form | where |\n| --- | --- |\n| A 1 | the server |"],
  ]);
  content.links = [
    { ...rangeOf(content, "the 规定 page"), target: "https://example.com/a" },
    { ...rangeOf(content, "ask"), target: "javascript:alert(1)" },
    { ...rangeOf(content, "the server"), target: "mailto:it@example.com" },
    { start: 5, end: 5, target: "https://example.com/picture" },
  ];

  it("are runs of their own, also within what is quoted and in tables", () => {
    const view = shown(content, "规定 page, or");
    expect(view.blocks[1]?.runs.map((run) => [run.text, run.href, run.marked])).toEqual([
      ["See ", undefined, false],
      ["the ", "https://example.com/a", false],
      ["规定 page", "https://example.com/a", true],
      [", or", undefined, true],
      [" ask.", undefined, false],
    ]);
    expect(view.blocks[2]?.rows?.[1]?.[1]?.runs).toMatchObject([
      { text: "the server", href: "mailto:it@example.com" },
    ]);
    expect(view.outline).toEqual([{ text: "规定 Rules", level: 2, block: 0 }]);
  });

  it("lead only where a browser may safely go", () => {
    for (const target of ["https://a.b/c", "HTTP://a.b", "mailto:a@b.c"])
      expect(safeHref(target)).toBe(target);
    for (const target of [
      "javascript:1",
      " JavaScript:1",
      "data:text/html,x",
      "ftp://a/b",
      "/a",
      "file:///x",
      "",
    ])
      expect(safeHref(target)).toBeUndefined();
  });
});
