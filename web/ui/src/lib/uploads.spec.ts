import { describe, expect, it } from "vitest";
import { isJunk, planUploads } from "./uploads";

const files = (...sizes: number[]) => sizes.map((size) => ({ file: { size } }));
const sizes = (groups: { file: { size: number } }[][]) =>
  groups.map((group) => group.map((f) => f.file.size));

describe("planUploads", () => {
  it("groups small files and sends a large one alone", () => {
    const limits = { maxBytes: 10, maxFiles: 3 };
    expect(sizes(planUploads(files(1, 2, 3, 4), limits))).toEqual([[1, 2, 3], [4]]);
    expect(sizes(planUploads(files(4, 50, 4, 4), limits))).toEqual([[4], [50], [4, 4]]);
    expect(planUploads([], limits)).toEqual([]);
  });
});

describe("isJunk", () => {
  it("knows what systems leave in folders", () => {
    for (const path of [
      ".DS_Store",
      "a/Thumbs.db",
      "a/.git/config",
      "__MACOSX/a/b",
      "docs/~$plan.docx",
    ]) {
      expect(isJunk(path), path).toBe(true);
    }
    for (const path of ["a.md", "git/a.md", "Thumbs.dbx"]) expect(isJunk(path), path).toBe(false);
  });
});
