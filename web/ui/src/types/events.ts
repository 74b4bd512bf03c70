// The events of an answer, mirrored from chain/event.go and chain/answer.go; a Go test compares the
// two. `started` and `error` are added by the server around the chain's own events.

export interface Passage {
  n: number;
  chunk_id: number;
  document_id: string;
  document: string;
  path: string;
  page?: number;
  last_page?: number;
  headings?: string[];
  /** Its tables, with their rows, and figures: "rows 12-20". */
  labels?: string[];
  /** Byte range in the document's extracted text. */
  start: number;
  end: number;
  text: string;
  score: number;
  /** Why it was found: by meaning and by words, with the rank in each from 1. */
  dense_score?: number;
  keyword_score?: number;
  dense_rank?: number;
  keyword_rank?: number;
}

export interface Citation {
  n: number;
  chunk_id: number;
  document_id: string;
  document: string;
  path: string;
  page?: number;
  headings?: string[];
  /** Its tables, with their rows, and figures: "rows 12-20". */
  labels?: string[];
  /** Byte range of `quote` in the document's extracted text. */
  start: number;
  end: number;
  quote: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export interface Answer {
  answer: string;
  citations: Citation[];
  passages: Passage[];
  reasoning?: string;
  choices?: { text: string; probability: number }[];
  declined?: boolean;
  notice?: string;
  query?: string;
  model: string;
  usage: Usage;
}

export type Stage = "rewriting" | "searching" | "generating" | "thinking";

export interface Failure {
  code: string;
  message: string;
  /** Seconds until it may go well. */
  retry_after?: number;
}

export type AnswerEvent =
  | { type: "started"; conversation_id: string; message_id: string }
  | { type: "status"; stage: Stage; query?: string }
  /** `indexing`, added by the server: files are still being read, so the answer may lack them. */
  | { type: "sources"; passages: Passage[]; indexing?: { done: number; total: number } }
  | { type: "token"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "tool_call"; id: string; name: string; input: string }
  | { type: "tool_result"; id: string; name: string; output: string; error?: string }
  | { type: "done"; answer: Answer }
  | { type: "error"; error: Failure };

export type AnswerEventType = AnswerEvent["type"];

/** Every event type, so that an unknown one can be told from a known one at run time. */
export const answerEventTypes = {
  started: true,
  status: true,
  sources: true,
  token: true,
  reasoning: true,
  tool_call: true,
  tool_result: true,
  done: true,
  error: true,
} as const satisfies Record<AnswerEventType, true>;
