import { describe, expect, it } from "vitest";
import { byteToIndex } from "./byteOffsets";

const encoder = new TextEncoder();

describe("byteToIndex", () => {
  const texts: [string, string][] = [
    ["empty", ""],
    ["ascii", "hello"],
    ["accents", "naïve café"],
    ["chinese", "年假规定：每年十五天。"],
    ["emoji", "a😀b👩‍👩‍👧c🇨🇳"],
    ["long mixed text, over several checkpoints", "The 手册 says 😀 naïve. ".repeat(700)],
    ["pairs across a checkpoint", `x${"😀".repeat(3000)}`],
  ];
  for (const [name, text] of texts) {
    it(name, () => {
      const index = byteToIndex(text);
      let bytes = 0;
      let units = 0;
      for (const character of text) {
        const width = encoder.encode(character).length;
        expect(index(bytes)).toBe(units);
        // Any offset inside the character points at its start.
        for (let inside = 1; inside < width; inside++) expect(index(bytes + inside)).toBe(units);
        bytes += width;
        units += character.length;
      }
      expect(index(bytes)).toBe(text.length);
      expect(index(bytes + 10)).toBe(text.length);
      expect(index(-1)).toBe(0);
    });
  }

  it("slices what the server sliced", () => {
    const text = "报销：请在 30 天内提交 🧾 发票。See §4.";
    const bytes = encoder.encode(text);
    const quote = "提交 🧾 发票";
    const start = encoder.encode(text.slice(0, text.indexOf(quote))).length;
    const end = start + encoder.encode(quote).length;
    expect(new TextDecoder().decode(bytes.slice(start, end))).toBe(quote);
    const index = byteToIndex(text);
    expect(text.slice(index(start), index(end))).toBe(quote);
  });
});
