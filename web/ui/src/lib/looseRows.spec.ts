import { describe, expect, it } from "vitest";
import { joinLooseRows } from "./looseRows";

describe("joinLooseRows", () => {
  const cases: [string, string, string][] = [
    ["no table", "a or b", "a or b"],
    [
      "a row with its citation",
      "See:\n\n| E04 | Slope too low |  | [1]",
      "See:\n\nE04 · Slope too low [1]",
    ],
    ["an escaped pipe", "| a \\| b | c |", "a \\| b · c"],
    ["a whole table", "| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n|---|---|\n| 1 | 2 |"],
    ["code", "```\n| a | b |\n```", "```\n| a | b |\n```"],
    ["a table, then a row", "| a |\n|---|\n| 1 |\n\n| x | y |", "| a |\n|---|\n| 1 |\n\nx · y"],
    ["pipes inside a sentence", "run a | b | c", "run a | b | c"],
  ];
  for (const [name, text, want] of cases) it(name, () => expect(joinLooseRows(text)).toBe(want));
});
