// What a question is asked of: the filter as the page lets it be chosen, and as the API takes it
// (docs/retrieval.md).
import type { DocumentInfo } from "../types/api";

export interface Filter {
  op: string;
  field?: string;
  values?: string[];
  of?: Filter[];
}

/** A condition on a key of the documents' metadata. */
export interface Condition {
  key: string;
  op: ConditionOp;
  value: string;
}

export const conditionOps = ["=", "!=", ">=", "<=", "prefix"] as const;
export type ConditionOp = (typeof conditionOps)[number];

/** What is chosen; an empty list, or text, lets everything through. */
export interface Choice {
  documents: string[];
  formats: string[];
  languages: string[];
  /** Dates, as 2026-11-25. */
  from: string;
  to: string;
  conditions: Condition[];
}

export const everything: Choice = {
  documents: [],
  formats: [],
  languages: [],
  from: "",
  to: "",
  conditions: [],
};

/** The filter to send; undefined when everything is let through. All that is chosen must hold. */
export function toFilter(choice: Choice): Filter | undefined {
  const all: Filter[] = [];
  const oneOf = (field: string, values: string[]) => {
    if (values.length > 0) all.push({ op: "in", field, values });
  };
  oneOf("id", choice.documents);
  oneOf("format", choice.formats);
  oneOf("language", choice.languages);
  if (choice.from) all.push({ op: ">=", field: "updated", values: [choice.from] });
  if (choice.to) all.push({ op: "<=", field: "updated", values: [choice.to] });
  for (const { key, op, value } of choice.conditions) {
    if (isComplete({ key, op, value })) {
      all.push({ op, field: `metadata.${key}`, values: [value.trim()] });
    }
  }
  return all.length > 1 ? { op: "and", of: all } : all[0];
}

const isComplete = (condition: Condition) => condition.key !== "" && condition.value.trim() !== "";

/** How many things are chosen, for a badge. */
export function countOf(choice: Choice): number {
  const { documents, formats, languages, from, to } = choice;
  return (
    [documents.length, formats.length, languages.length, from, to].filter(Boolean).length +
    choice.conditions.filter(isComplete).length
  );
}

export interface Facets {
  /** Each with how many documents have it, the most frequent first. */
  formats: [string, number][];
  languages: [string, number][];
  /** Keys of the metadata, each with its values. */
  metadata: Map<string, string[]>;
}

const mostValues = 200;

/** What the documents can be told apart by. */
export function facetsOf(documents: readonly DocumentInfo[]): Facets {
  const formats = new Map<string, number>();
  const languages = new Map<string, number>();
  const metadata = new Map<string, Set<string>>();
  for (const document of documents) {
    if (document.format) formats.set(document.format, (formats.get(document.format) ?? 0) + 1);
    if (document.language) {
      languages.set(document.language, (languages.get(document.language) ?? 0) + 1);
    }
    for (const [key, value] of Object.entries(document.metadata ?? {})) {
      const values = metadata.get(key) ?? new Set();
      if (values.size < mostValues) values.add(value);
      metadata.set(key, values);
    }
  }
  const ranked = (counts: Map<string, number>) =>
    [...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
  return {
    formats: ranked(formats),
    languages: ranked(languages),
    metadata: new Map(
      [...metadata]
        .sort(([a], [b]) => a.localeCompare(b))
        .map(([key, values]) => [key, [...values].sort()]),
    ),
  };
}
