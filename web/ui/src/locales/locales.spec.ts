import { describe, expect, it } from "vitest";
import { en } from "./en";
import { zh } from "./zh";

function flatten(value: object, prefix = ""): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, item] of Object.entries(value)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (typeof item === "string") out.set(path, item);
    else for (const [k, v] of flatten(item, path)) out.set(k, v);
  }
  return out;
}

describe("locales", () => {
  const english = flatten(en);
  const chinese = flatten(zh);

  it("have the same keys", () => {
    expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it("fill in the same values", () => {
    const slots = (text = "") =>
      [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]).sort();
    for (const [key, text] of english) expect(slots(chinese.get(key)), key).toEqual(slots(text));
  });

  it("leave nothing empty, and nothing of the interface in English", () => {
    for (const [key, text] of chinese) {
      expect(text.trim(), key).not.toBe("");
      const symbolsOnly = /^[\p{P}\p{N}{}a-z:/…]*$/u.test(text);
      if (!symbolsOnly) expect(text, key).toMatch(/[\u4e00-\u9fff]/);
    }
  });
});
