// The shapes of the HTTP API, as docs/api.md gives them.
import type { Filter } from "../lib/filter";
import type { Answer, Failure } from "./events";

export interface Info {
  version: string;
  encoder: { name: string; dim: number; max_tokens: number } | null;
  model: { provider: string; name: string; notice?: string; adapters?: string[] };
  styles: string[];
  /** False without a language model, which an agent cannot do without. */
  agent?: boolean;
  max_upload_bytes?: number;
  sample?: boolean;
  /** Something recognises the text in pictures and scanned pages. */
  ocr?: boolean;
}

/** What a model file is busy with; null where a server or nothing answers. Memory is in bytes. */
export interface Status {
  model: {
    context: number;
    memory: { weights: number; cache: number; buffers: number; adapters: number };
    requests: { waiting: number; running: number };
  } | null;
}

/** The reply to an upload: files refused beside others are listed, and the others are queued. */
export interface Uploaded {
  jobs: Job[] | null;
  refused?: { path: string; error: string }[] | null;
}

export interface Indexing {
  done: number;
  total: number;
}

export interface Collection {
  name: string;
  encoder: string;
  dim: number;
  documents: number;
  chunks: number;
  created_at: string;
  indexing?: Indexing;
}

export interface DocumentInfo {
  id: string;
  collection: string;
  path: string;
  title: string;
  format: string;
  language: string;
  sha256: string;
  bytes: number;
  pages: number;
  chunks: number;
  metadata?: Record<string, string> | null;
  warnings?: string[] | null;
  added_at: string;
  updated_at: string;
  /** The id of a document with the same bytes, whose passages stand for this one too. */
  duplicate_of?: string;
}

/** A part of a document that cleaning judged. */
export interface Passage {
  reason: "gibberish" | "noise" | "links" | "repeated line";
  text: string;
  page?: number;
  bytes: number;
  count?: number;
}

export type PrivateKind = "email" | "phone" | "id_card" | "bank_card" | "ip" | "secret";

/** What became of a file, which may have failed. */
export interface Report {
  path: string;
  status: "ingested" | "partial" | "duplicate" | "failed";
  error?: string;
  format?: string;
  bytes: number;
  pages?: number;
  characters: number;
  language?: string;
  chunks: number;
  warnings?: string[] | null;
  pages_without_text?: number[];
  /** Of them: what they show is not in the text, and recognition may read it. */
  needs_ocr?: number[];
  /** Likewise in files within the file; without pages where none of one could be read. */
  needs_ocr_in?: { name: string; pages?: number[] }[];
  garbled_pages?: number[];
  recognized_pages?: number[];
  recognized_by?: string;
  cleaning: {
    normalized?: number;
    dropped?: Passage[];
    doubtful?: Passage[];
    private?: { kind: PrivateKind; count: number; action: "leave" | "mask" | "refuse" }[];
  };
  duplicate_of?: string;
  near_duplicates?: { document_id: string; path: string; similarity: number }[];
  stages: { stage: string; seconds: number }[] | null;
  at: string;
}

/** One setting of a collection; its key has a dot for each level of the settings object. */
export interface Setting {
  key: string;
  value: string | number | boolean;
  default: string | number | boolean;
  values?: string[];
  help: string;
}

export type JobState = "queued" | "running" | "paused" | "done" | "failed" | "cancelled";
export type JobStage =
  | "fetching"
  | "parsing"
  | "recognizing"
  | "cleaning"
  | "chunking"
  | "embedding"
  | "storing";

export interface Job {
  id: string;
  collection: string;
  /** A site is gone through; its pages are jobs of their own. */
  kind?: "file" | "site";
  path: string;
  bytes: number;
  state: JobState;
  stage?: JobStage | "";
  done: number;
  total: number;
  error?: string;
  document_id?: string;
  status?: "ingested" | "partial" | "duplicate" | "unchanged" | "failed" | "crawled" | "";
  created_at: string;
  updated_at: string;
}

/** How far the present batch of a collection is. */
export interface Flow {
  files: number;
  files_done: number;
  bytes: number;
  bytes_done: number;
  /** 0 while it is not known. */
  bytes_per_second: number;
  seconds_left?: number;
  stages: Record<string, number>;
  /** The whole queue is. */
  paused: boolean;
}

/** A folder of the server that is kept in step with a collection. */
export interface Watching {
  id: string;
  folder: string;
  include: string[] | null;
  exclude: string[] | null;
  files: number;
  notices: boolean;
  checked_at?: string;
  error?: string;
  skipped: number;
}

export interface Site {
  url: string;
  depth: number;
  pages: number;
  include: string[];
  exclude: string[];
}

export type BlockKind = "heading" | "paragraph" | "list_item" | "table" | "code" | "quote";

export interface Block {
  kind: BlockKind;
  /** Byte range of the text, on rune borders. */
  start: number;
  end: number;
  level?: number;
}

export interface Page {
  number: number;
  label?: string;
  start: number;
  end: number;
}

/** A part of a document's text, in bytes, that leads out of it. */
export interface Link {
  start: number;
  end: number;
  target: string;
}

export interface Content {
  title?: string;
  language?: string;
  text: string;
  blocks?: Block[] | null;
  pages?: Page[] | null;
  links?: Link[] | null;
}

export interface Conversation {
  id: string;
  collection: string;
  title: string;
  created_at: string;
  updated_at: string;
}

export type MessageStep =
  | { type: "tool_call"; data: { id: string; name: string; input: string } }
  | { type: "tool_result"; data: { id: string; name: string; output: string; error?: string } }
  | { type: "reasoning"; data: { text: string } };

export interface Message {
  id: string;
  role: "user" | "assistant";
  content: string;
  answer?: Answer;
  steps?: MessageStep[] | null;
  error?: string | Failure;
  /** With an answer: which documents were asked. */
  where?: Filter;
  created_at: string;
}

export interface ConversationWithMessages extends Conversation {
  messages: Message[] | null;
}
