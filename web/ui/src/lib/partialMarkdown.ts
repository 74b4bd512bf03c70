// Markdown that is still arriving. Without this, half a table shows as pipes, half a link as
// brackets, and an unclosed ** flips the rest of the page to bold and back.

/** Returns text with what has only half arrived closed or held back, so that it renders calmly. */
export function completeMarkdown(text: string): string {
  const lines = text.split("\n");
  let fence = "";
  let start = 0; // first line of the paragraph that is still open
  for (const [i, line] of lines.entries()) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? "";
    if (fence === "" && mark !== "") {
      fence = mark;
      start = i;
    } else if (fence !== "" && mark.startsWith(fence) && line.trim() === mark) {
      fence = "";
      start = i + 1;
    } else if (fence === "" && line.trim() === "") {
      start = i + 1;
    }
  }
  if (fence !== "") {
    const last = lines[lines.length - 1] ?? "";
    // A closing fence that is not whole yet must not show as a line of code.
    if (lines.length - 1 > start && /^ {0,3}[`~]{1,2}$/.test(last)) lines.pop();
    return `${lines.join("\n")}\n${fence}`;
  }

  const head = lines.slice(0, start);
  const open = completeBlock(lines.slice(start));
  return [...head, ...open].join("\n");
}

function completeBlock(lines: string[]): string[] {
  const last = lines[lines.length - 1] ?? "";
  // "-" or "=" under a paragraph would turn it into a heading until the rest of the line comes.
  if (lines.length > 1 && /^ {0,3}(-{1,2}|=+)$/.test(last))
    return completeBlock(lines.slice(0, -1));
  if (/^ {0,3}(#{1,6}|[-*+]|\d{1,3}[.)])$/.test(last)) return completeBlock(lines.slice(0, -1));
  const first = lines[0] ?? "";
  if (/^\s*\|/.test(first)) {
    // A table begins to be one with its delimiter row; a row shows when it is whole.
    const delimiter = lines[1] ?? "";
    if (!/^\s*\|?[\s:|-]*-[\s:|-]*\|\s*$/.test(delimiter)) return [];
    if (lines.length > 2 && !/\|\s*$/.test(last)) return lines.slice(0, -1);
    return lines;
  }
  if (lines.length === 0) return lines;
  return closeInline(lines.join("\n")).split("\n");
}

function closeInline(text: string): string {
  let out = "";
  const open: string[] = [];
  let i = 0;
  while (i < text.length) {
    const c = text.charAt(i);
    if (c === "\\") {
      // An escape that waits for its character.
      if (i + 1 >= text.length) break;
      out += text.slice(i, i + 2);
      i += 2;
      continue;
    }
    if (c === "`") {
      const ticks = /^`+/.exec(text.slice(i))?.[0] ?? "`";
      const end = findTicks(text, i + ticks.length, ticks);
      if (end < 0) {
        const rest = text.slice(i + ticks.length);
        // Close it only if something is inside; a lone tick waits.
        if (rest.trim() !== "") out += ticks + rest.replace(/`+$/, "") + ticks;
        i = text.length;
        break;
      }
      out += text.slice(i, end + ticks.length);
      i = end + ticks.length;
      continue;
    }
    if (c === "[" || (c === "!" && text.charAt(i + 1) === "[")) {
      const from = c === "!" ? i + 1 : i;
      const close = text.indexOf("]", from + 1);
      const newline = text.indexOf("\n\n", from);
      if (close < 0 && newline < 0) {
        const label = text.slice(from + 1);
        // "[1" is most likely a citation, "![a" an image: both wait. "[some words" shows its words.
        if (c === "!" || /^\s*[\d\s,，、]*$/.test(label)) break;
        out += closeInline(label);
        i = text.length;
        break;
      }
      if (close >= 0 && text.charAt(close + 1) === "(" && text.indexOf(")", close + 1) < 0) {
        if (c !== "!") out += text.slice(from + 1, close);
        i = text.length;
        break;
      }
    }
    if (c === "*" || c === "~" || c === "_") {
      const run =
        text.slice(i).match(c === "*" ? /^\*{1,3}/ : c === "~" ? /^~{1,2}/ : /^_{1,3}/)?.[0] ?? c;
      const before = text.charAt(i - 1);
      const after = text.charAt(i + run.length);
      const innerWord = c === "_" && /[\p{L}\p{N}]/u.test(before) && /[\p{L}\p{N}]/u.test(after);
      if (open[open.length - 1] === run && !/\s/.test(before)) {
        open.pop();
        out += run;
      } else if (after === "") {
        // The end of the text: an opener without content, or half a closer.
        const top = open[open.length - 1];
        if (top?.startsWith(run)) {
          open.pop();
          out += top;
        }
      } else {
        if (!innerWord && !/\s/.test(after)) open.push(run);
        out += run;
      }
      i += run.length;
      continue;
    }
    out += c;
    i++;
  }
  let tail = "";
  while (/\s$/.test(out) && open.length > 0) {
    tail = out.slice(-1) + tail;
    out = out.slice(0, -1);
  }
  for (const run of open.reverse()) out += run;
  return out + tail;
}

function findTicks(text: string, from: number, ticks: string): number {
  for (let at = text.indexOf(ticks, from); at >= 0; at = text.indexOf(ticks, at + 1)) {
    const end = at + ticks.length;
    if (text.charAt(end) !== "`" && text.charAt(at - 1) !== "`") return at;
  }
  return -1;
}
