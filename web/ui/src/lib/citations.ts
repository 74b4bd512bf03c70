// Citation markers in an answer: "[3]", "[1, 2]" and "[1][2]" become links to their passages.
import type { Root, RootContent, Text } from "mdast";

const marker =
  /\[\s*(\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\s*\]|【\s*(\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\s*】/g;

export type Piece = { text: string } | { cite: number };

/** Cuts text at its citation markers. A number that `known` does not hold stays as it was written. */
export function splitCitations(text: string, known: ReadonlySet<number>): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(marker)) {
    const numbers = (match[1] ?? match[2] ?? "").split(/[,，、]/).map((n) => Number(n.trim()));
    if (!numbers.every((n) => known.has(n))) continue;
    // The blank before a marker would let it wrap to a line of its own.
    const before = text
      .slice(from, match.index)
      .replace(/[ \t]+$/, (blank) => (blank ? "\u00a0" : ""));
    if (before !== "") pieces.push({ text: before });
    for (const n of numbers) pieces.push({ cite: n });
    from = match.index + match[0].length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

interface Options {
  known: ReadonlySet<number>;
}

type Parent = { type: string; children: RootContent[] };

/**
 * A remark plugin: markers in running text become `cite` elements with the number in `data-n`. Code is
 * left alone, and so is the inside of links, where a nested link would be invalid.
 */
export function remarkCitations({ known }: Options) {
  return (tree: Root) => walk(tree as Parent, known);
}

function walk(parent: Parent, known: ReadonlySet<number>) {
  const children: RootContent[] = [];
  for (const child of parent.children) {
    if (child.type === "text") {
      children.push(...splitText(child, known));
      continue;
    }
    if ("children" in child && child.type !== "link" && child.type !== "linkReference") {
      walk(child as Parent, known);
    }
    children.push(child);
  }
  parent.children = children;
}

function splitText(node: Text, known: ReadonlySet<number>): RootContent[] {
  const pieces = splitCitations(node.value, known);
  if (pieces.every((piece) => "text" in piece)) return [node];
  return pieces.map((piece): RootContent => {
    if ("text" in piece) return { type: "text", value: piece.text };
    return {
      type: "emphasis",
      children: [{ type: "text", value: String(piece.cite) }],
      data: { hName: "cite", hProperties: { "data-n": String(piece.cite) } },
    };
  });
}
