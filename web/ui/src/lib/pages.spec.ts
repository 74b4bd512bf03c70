import { describe, expect, it } from "vitest";
import { countPages, pageRanges } from "./pages";

describe("pageRanges", () => {
  it.each([
    [[], ""],
    [[4], "4"],
    [[1, 2, 3, 7], "1–3, 7"],
    [[1, 3, 4], "1, 3–4"],
  ])("writes %j", (pages, want) => expect(pageRanges(pages)).toBe(want));
});

describe("countPages", () => {
  it.each([
    ["", 0],
    ["4", 1],
    ["1-3, 7", 4],
  ])("counts %j", (ranges, want) => expect(countPages(ranges)).toBe(want));
});
