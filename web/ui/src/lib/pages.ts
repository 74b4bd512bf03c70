/** Ascending numbers as "1–3, 7". */
export function pageRanges(pages: number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < pages.length; ) {
    let j = i;
    while (pages[j + 1] === (pages[j] ?? 0) + 1) j++;
    parts.push(i === j ? `${pages[i]}` : `${pages[i]}–${pages[j]}`);
    i = j + 1;
  }
  return parts.join(", ");
}

/** How many pages "1-3, 7", as the metadata of a document has them, are. */
export function countPages(ranges: string): number {
  let count = 0;
  for (const part of ranges.split(",")) {
    const [from, to] = part.split("-").map(Number);
    if (from) count += (to ?? from) - from + 1;
  }
  return count;
}
