import type { Citation, Passage } from "../types/events";

/** A passage or a citation as the page points at it: a place in a document, and the words there. */
export interface Source {
  n: number;
  document_id: string;
  document: string;
  path: string;
  page?: number;
  last_page?: number;
  headings?: string[];
  labels?: string[];
  start: number;
  end: number;
  text: string;
}

export function fromCitation(citation: Citation): Source {
  return { ...citation, text: citation.quote };
}

export function fromPassage(passage: Passage): Source {
  return passage;
}

/** A label of a table, parted into its name and the numbers of its rows: "Stock, rows 3-5, 9". */
export function rowsOf(label: string): { table: string; rows?: string } {
  const found = /^(?:(.*), )?rows? (\d[\d, -]*(?: to \d+)?)$/.exec(label);
  return found ? { table: found[1] ?? "", rows: found[2] } : { table: label };
}

/** The query parameters that open the viewer at a source; the rest of the query stays as it is. */
export function viewerParams(
  current: URLSearchParams,
  place: { document_id: string; start?: number; end?: number },
): URLSearchParams {
  const params = new URLSearchParams(current);
  params.set("doc", place.document_id);
  if (place.start !== undefined && place.end !== undefined) {
    params.set("at", `${place.start}-${place.end}`);
  } else {
    params.delete("at");
  }
  return params;
}

export interface ViewerPlace {
  document: string;
  mark?: { start: number; end: number };
}

/** What the address says is open in the viewer. */
export function readViewerParams(params: URLSearchParams): ViewerPlace | undefined {
  const document = params.get("doc");
  if (!document) return undefined;
  const at = /^(\d+)-(\d+)$/.exec(params.get("at") ?? "");
  const start = Number(at?.[1]);
  const end = Number(at?.[2]);
  return at && end > start ? { document, mark: { start, end } } : { document };
}

export function closeViewerParams(current: URLSearchParams): URLSearchParams {
  const params = new URLSearchParams(current);
  params.delete("doc");
  params.delete("at");
  return params;
}

/** A web address as somebody types it, with the scheme that is left out in most. */
export function withScheme(address: string): string {
  const typed = address.trim();
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(typed) ? typed : `https://${typed}`;
}
