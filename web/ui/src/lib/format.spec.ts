import { describe, expect, it } from "vitest";
import { baseName, folderOf, formatBytes, periodOf, pickQuestions } from "./format";

describe("formatBytes", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1024, "1 KB"],
    [1536, "1.5 KB"],
    [5 << 20, "5 MB"],
    [250 * (1 << 20), "250 MB"],
  ];
  for (const [bytes, want] of cases) it(want, () => expect(formatBytes(bytes, "en")).toBe(want));
});

describe("periodOf", () => {
  const now = new Date(2026, 5, 15, 10, 0);
  const at = (day: number, hour: number) => new Date(2026, 5, day, hour).toISOString();
  it("goes by calendar days", () => {
    expect(periodOf(at(15, 0), now)).toBe("today");
    expect(periodOf(at(14, 23), now)).toBe("yesterday");
    expect(periodOf(at(10, 1), now)).toBe("week");
    expect(periodOf(at(2, 1), now)).toBe("older");
  });
});

describe("paths", () => {
  it("splits names from folders", () => {
    expect(baseName("a/b/c.md")).toBe("c.md");
    expect(baseName("c.md")).toBe("c.md");
    expect(baseName("a/b/")).toBe("b");
    expect(folderOf("a/b/c.md")).toBe("a/b");
    expect(folderOf("c.md")).toBe("");
    expect(folderOf("https://example.com/a")).toBe("");
  });
});

describe("pickQuestions", () => {
  const questions = ["a?", "b?", "c?", "d?", "年假？", "病假？"];
  it("prefers the reader's language and spreads over the list", () => {
    expect(pickQuestions(questions, false, 2)).toEqual(["a?", "c?"]);
    expect(pickQuestions(questions, true, 4)).toEqual(["年假？", "病假？"]);
    expect(pickQuestions(["a?"], true, 4)).toEqual(["a?"]);
  });
});
