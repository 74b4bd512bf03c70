import { describe, expect, it } from "vitest";
import type { DocumentInfo } from "../types/api";
import { type Choice, countOf, everything, facetsOf, toFilter } from "./filter";

describe("toFilter", () => {
  it("lets everything through when nothing is chosen", () => {
    expect(toFilter(everything)).toBeUndefined();
    expect(countOf(everything)).toBe(0);
    const unfinished: Choice = {
      ...everything,
      conditions: [
        { key: "", op: "=", value: "x" },
        { key: "team", op: "=", value: "  " },
      ],
    };
    expect(toFilter(unfinished)).toBeUndefined();
    expect(countOf(unfinished)).toBe(0);
  });
  it("is one condition, or all of several", () => {
    expect(toFilter({ ...everything, formats: ["pdf", "docx"] })).toEqual({
      op: "in",
      field: "format",
      values: ["pdf", "docx"],
    });
    const choice: Choice = {
      documents: ["d1"],
      formats: [],
      languages: ["zh"],
      from: "2026-01-01",
      to: "2026-06-30",
      conditions: [{ key: "title", op: "prefix", value: " Q2 " }],
    };
    expect(toFilter(choice)).toEqual({
      op: "and",
      of: [
        { op: "in", field: "id", values: ["d1"] },
        { op: "in", field: "language", values: ["zh"] },
        { op: ">=", field: "updated", values: ["2026-01-01"] },
        { op: "<=", field: "updated", values: ["2026-06-30"] },
        { op: "prefix", field: "metadata.title", values: ["Q2"] },
      ],
    });
    expect(countOf(choice)).toBe(5);
  });
});

describe("facetsOf", () => {
  it("counts what documents have", () => {
    const documents = [
      { format: "pdf", language: "en", metadata: { team: "sales" } },
      { format: "pdf", language: "", metadata: { team: "ops", year: "2026" } },
      { format: "text", language: "zh", metadata: null },
    ] as unknown as DocumentInfo[];
    expect(facetsOf(documents)).toEqual({
      formats: [
        ["pdf", 2],
        ["text", 1],
      ],
      languages: [
        ["en", 1],
        ["zh", 1],
      ],
      metadata: new Map([
        ["team", ["ops", "sales"]],
        ["year", ["2026"]],
      ]),
    });
  });
});
