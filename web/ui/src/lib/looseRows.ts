// A sentence quoted out of a Markdown table is a row without its table: "| E04 | Slope too low |".

const row = /^\s*\|(.*\S.*)\|\s*((?:\[\d+(?:,\s*\d+)*\]\s*)*)$/;
const delimiter = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** Turns rows that stand outside a table into their cells with dots between; tables stay. */
export function joinLooseRows(text: string): string {
  if (!text.includes("|")) return text;
  const lines = text.split("\n");
  let fenced = false;
  let inTable = false;
  return lines
    .map((line, i) => {
      if (/^\s*(`{3,}|~{3,})/.test(line)) fenced = !fenced;
      const match = row.exec(line);
      if (fenced || !match) {
        inTable = false;
        return line;
      }
      if (inTable) return line;
      if (delimiter.test(lines[i + 1] ?? "")) {
        inTable = true;
        return line;
      }
      const cells = (match[1] ?? "").split(/(?<!\\)\|/).map((cell) => cell.trim());
      const joined = cells.filter((cell) => cell !== "").join(" · ");
      return `${joined} ${(match[2] ?? "").trim()}`.trim();
    })
    .join("\n");
}
