import { describe, expect, it } from "vitest";
import { closeViewerParams, readViewerParams, rowsOf, viewerParams } from "./place";

describe("viewer parameters", () => {
  it("open, read back and close again", () => {
    const before = new URLSearchParams("x=1");
    const open = viewerParams(before, { document_id: "d/1", start: 10, end: 30 });
    expect(open.toString()).toBe("x=1&doc=d%2F1&at=10-30");
    expect(readViewerParams(open)).toEqual({ document: "d/1", mark: { start: 10, end: 30 } });
    expect(viewerParams(open, { document_id: "e" }).toString()).toBe("x=1&doc=e");
    expect(closeViewerParams(open).toString()).toBe("x=1");
    expect(readViewerParams(before)).toBeUndefined();
  });
  it("ignores a range that is none", () => {
    for (const at of ["", "5", "9-3", "a-b", "-1-4"]) {
      expect(readViewerParams(new URLSearchParams({ doc: "d", at }))).toEqual({ document: "d" });
    }
  });
});

describe("labels of tables", () => {
  it("are parted into name and rows", () => {
    expect(rowsOf("rows 12-20")).toEqual({ table: "", rows: "12-20" });
    expect(rowsOf("row 7")).toEqual({ table: "", rows: "7" });
    expect(rowsOf("Prices, old, rows 3-5, 9")).toEqual({ table: "Prices, old", rows: "3-5, 9" });
    expect(rowsOf("rows 3 to 90")).toEqual({ table: "", rows: "3 to 90" });
    expect(rowsOf("Table 2")).toEqual({ table: "Table 2" });
    expect(rowsOf("front rows")).toEqual({ table: "front rows" });
  });
});
