// What the document viewer shows: blocks cut into runs of text, so that the quoted range can be
// marked and page borders drawn wherever they fall.
import type { Block, BlockKind, Content } from "../types/api";
import { byteToIndex } from "./byteOffsets";

export interface Run {
  text: string;
  marked: boolean;
  /** Set when a page of the source begins before this run. */
  page?: string;
  /** Where the run leads; only addresses that a browser may safely be sent to. */
  href?: string;
}

export interface Cell {
  runs: Run[];
}

export interface ViewBlock {
  key: number;
  kind: BlockKind;
  level: number;
  marked: boolean;
  /** The page that begins before the block. */
  page?: string;
  /** "3." of an ordered list, "•" of the others; only for list items. */
  bullet?: string;
  runs: Run[];
  /** Only for tables; the first row is the header. */
  rows?: Cell[][];
}

export interface ViewDocument {
  blocks: ViewBlock[];
  /** Index of the first block that holds the marked range; -1 if none does. */
  firstMarked: number;
  /** Each page's label and the index of the block where it begins. */
  pages: { label: string; block: number }[];
  /** The headings, for those who look for one: its text, its level from 1, and the block it is. */
  outline: { text: string; level: number; block: number }[];
}

export interface ByteRange {
  start: number;
  end: number;
}

interface Span {
  start: number;
  end: number;
}

interface LinkSpan extends Span {
  href: string;
}

/** A document's address of a link, or nothing where a reader is not to be sent: it is untrusted. */
export function safeHref(target: string): string | undefined {
  try {
    return ["http:", "https:", "mailto:"].includes(new URL(target).protocol) ? target : undefined;
  } catch {
    return undefined;
  }
}

/** Lays out a document for the viewer. `mark` is a byte range of the text. */
export function layOut(content: Content, mark?: ByteRange): ViewDocument {
  const { text } = content;
  const index = byteToIndex(text);
  const marked: Span | undefined = mark && { start: index(mark.start), end: index(mark.end) };
  const pageStarts = (content.pages ?? []).map((page) => ({
    at: index(page.start),
    label: page.label || String(page.number),
  }));
  const source: Block[] =
    content.blocks && content.blocks.length > 0 ? content.blocks : paragraphs(text);
  const toIndex = content.blocks && content.blocks.length > 0 ? index : (i: number) => i;

  const links: LinkSpan[] = [];
  for (const link of content.links ?? []) {
    const href = safeHref(link.target);
    if (href && link.end > link.start)
      links.push({ start: index(link.start), end: index(link.end), href });
  }
  let firstLink = 0; // of those that do not end before the block at hand
  const blocks: ViewBlock[] = [];
  const outline: ViewDocument["outline"] = [];
  const pages: ViewDocument["pages"] = [];
  let firstMarked = -1;
  let nextPage = 0;
  for (const [key, block] of source.entries()) {
    const outer: Span = { start: toIndex(block.start), end: toIndex(block.end) };
    const body = inner(block.kind, text, outer);
    let page: string | undefined;
    const inside: { at: number; label: string }[] = [];
    for (; nextPage < pageStarts.length; nextPage++) {
      const start = pageStarts[nextPage];
      if (!start || start.at >= outer.end) break;
      pages.push({ label: start.label, block: key });
      if (start.at <= body.start) page = start.label;
      else inside.push(start);
    }
    const view: ViewBlock = {
      key,
      kind: block.kind,
      level: block.level ?? 0,
      marked: marked !== undefined && marked.start < outer.end && marked.end > outer.start,
      page,
      runs: [],
    };
    if (block.kind === "list_item") view.bullet = bulletOf(text.slice(outer.start, body.start));
    while ((links[firstLink]?.end ?? Number.POSITIVE_INFINITY) <= outer.start) firstLink++;
    const within: LinkSpan[] = [];
    for (let i = firstLink; (links[i]?.start ?? Number.POSITIVE_INFINITY) < outer.end; i++) {
      const link = links[i];
      if (link) within.push(link);
    }
    const rows = block.kind === "table" ? tableCells(text, outer) : undefined;
    if (rows)
      view.rows = rows.map((row) =>
        row.map((cell) => ({ runs: cut(text, cell, marked, [], within) })),
      );
    else view.runs = cut(text, body, marked, inside, within);
    if (block.kind === "heading")
      outline.push({
        text: text.slice(body.start, body.end).trim(),
        level: view.level,
        block: key,
      });
    if (view.marked && firstMarked < 0) firstMarked = key;
    blocks.push(view);
  }
  return { blocks, firstMarked, pages, outline };
}

/** Text without known structure is shown paragraph by paragraph; offsets here are string indexes. */
function paragraphs(text: string): Block[] {
  const blocks: Block[] = [];
  for (const match of text.matchAll(/\S[^\n]*(?:\n(?![ \t\r]*\n)[^\n]*)*/g)) {
    blocks.push({ kind: "paragraph", start: match.index, end: match.index + match[0].length });
  }
  return blocks;
}

/** The span of a block without the Markdown that its kind already says. */
function inner(kind: BlockKind, text: string, span: Span): Span {
  const slice = text.slice(span.start, span.end);
  let skip = 0;
  let drop = /\s*$/.exec(slice)?.[0].length ?? 0;
  if (kind === "heading") skip = /^\s*#{1,6}\s+/.exec(slice)?.[0].length ?? 0;
  else if (kind === "list_item")
    skip = /^\s*(?:[-*+•‣◦·]|\(?\d{1,4}[.)、])\s+/.exec(slice)?.[0].length ?? 0;
  else if (kind === "quote") skip = /^\s*>\s?/.exec(slice)?.[0].length ?? 0;
  else if (kind === "code") {
    const fence = /^\s*(`{3,}|~{3,})[^\n]*\n/.exec(slice);
    if (fence) {
      skip = fence[0].length;
      drop = /\n?[ \t]*(?:`{3,}|~{3,})\s*$/.exec(slice)?.[0].length ?? drop;
    }
  }
  const start = span.start + skip;
  return { start, end: Math.max(start, span.end - drop) };
}

function bulletOf(prefix: string): string {
  const number = /\(?\d{1,4}[.)、]/.exec(prefix)?.[0];
  return number ?? "•";
}

function cut(
  text: string,
  span: Span,
  marked: Span | undefined,
  pages: { at: number; label: string }[],
  links: readonly LinkSpan[],
): Run[] {
  const borders = new Set<number>([span.start, span.end]);
  if (marked) {
    if (marked.start > span.start && marked.start < span.end) borders.add(marked.start);
    if (marked.end > span.start && marked.end < span.end) borders.add(marked.end);
  }
  for (const page of pages) if (page.at < span.end) borders.add(page.at);
  const inside = links.filter((link) => link.start < span.end && link.end > span.start);
  for (const link of inside) {
    borders.add(Math.max(link.start, span.start));
    borders.add(Math.min(link.end, span.end));
  }
  const at = [...borders].sort((a, b) => a - b);
  const runs: Run[] = [];
  for (let i = 0; i + 1 < at.length; i++) {
    const start = at[i] ?? 0;
    const end = at[i + 1] ?? start;
    runs.push({
      text: text.slice(start, end),
      marked: marked !== undefined && start >= marked.start && end <= marked.end,
      page: pages.find((page) => page.at === start)?.label,
      href: inside.find((link) => start >= link.start && end <= link.end)?.href,
    });
  }
  return runs;
}

/** The cells of a Markdown table as spans of text, delimiter row left out; undefined if it is none. */
export function tableCells(text: string, span: Span): Span[][] | undefined {
  const rows: Span[][] = [];
  let delimiters = 0;
  let at = span.start;
  while (at < span.end) {
    let end = text.indexOf("\n", at);
    if (end < 0 || end > span.end) end = span.end;
    const line = text.slice(at, end);
    if (line.trim() !== "") {
      if (
        rows.length === 1 &&
        delimiters === 0 &&
        /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(line)
      ) {
        delimiters++;
      } else {
        rows.push(rowCells(line, at));
      }
    }
    at = end + 1;
  }
  if (delimiters === 0 && !rows.every((row) => row.length > 1)) return undefined;
  return rows;
}

function rowCells(line: string, offset: number): Span[] {
  const cells: Span[] = [];
  let from = 0;
  const push = (end: number) => {
    const raw = line.slice(from, end);
    const lead = raw.length - raw.trimStart().length;
    const start = offset + from + Math.min(lead, raw.length);
    cells.push({ start, end: Math.max(start, offset + from + raw.trimEnd().length) });
  };
  const trimmedEnd = line.trimEnd().length;
  const lead = line.length - line.trimStart().length;
  if (line.charAt(lead) === "|") from = lead + 1;
  for (let i = from; i < trimmedEnd; i++) {
    const c = line.charAt(i);
    if (c === "\\") i++;
    else if (c === "|") {
      push(i);
      from = i + 1;
    }
  }
  if (from < trimmedEnd) push(trimmedEnd);
  return cells;
}

/** The page and the headings above the marked range; above the start where nothing is marked. */
export function placeOf(view: ViewDocument): { page?: string; headings: string[] } {
  if (view.firstMarked < 0) return { page: view.pages[0]?.label, headings: [] };
  const path: { level: number; text: string }[] = [];
  let page: string | undefined;
  for (const block of view.blocks) {
    if (block.key > view.firstMarked) break;
    if (block.page !== undefined) page = block.page;
    const stopAt = block.key === view.firstMarked ? block.runs.findIndex((run) => run.marked) : -1;
    for (const [i, run] of block.runs.entries()) {
      if (stopAt >= 0 && i > stopAt) break;
      if (run.page !== undefined) page = run.page;
    }
    if (block.kind !== "heading") continue;
    while (path.length > 0 && (path[path.length - 1]?.level ?? 0) >= block.level) path.pop();
    path.push({
      level: block.level,
      text: block.runs
        .map((run) => run.text)
        .join("")
        .trim(),
    });
  }
  return { page, headings: path.map((heading) => heading.text) };
}
