// Calls to the server, as docs/api.md gives them.
import type {
  Collection,
  Content,
  Conversation,
  ConversationWithMessages,
  DocumentInfo,
  Flow,
  Info,
  Job,
  Report,
  Setting,
  Site,
  Status,
  Uploaded,
  Watching,
} from "../types/api";
import { type AnswerEvent, answerEventTypes, type Failure } from "../types/events";
import type { Filter } from "./filter";
import { readEvents } from "./sse";

/** A refusal by the server; `code` is "unreachable" when there was no reply at all. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  constructor(code: string, message: string, status: number) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function toFailure(error: unknown): Failure {
  if (error instanceof ApiError) return { code: error.code, message: error.message };
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}

/** The error in a reply's body, or one made from its status. */
export function errorFromBody(status: number, body: string): ApiError {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null && "error" in parsed) {
      const { error } = parsed as { error: Partial<Failure> };
      if (typeof error?.message === "string") {
        return new ApiError(error.code ?? "internal", error.message, status);
      }
    }
  } catch {
    // Not JSON: a proxy's page, perhaps.
  }
  // A proxy in front of a server that is gone answers for it.
  const code =
    status === 413 ? "too_large" : status >= 502 && status <= 504 ? "unreachable" : "internal";
  return new ApiError(code, `HTTP ${status}`, status);
}

async function send(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("unreachable", "", 0);
  }
  if (!response.ok) throw errorFromBody(response.status, await response.text());
  return response;
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await send(path, { signal })).json();
}

async function post<T>(path: string, body?: unknown): Promise<T> {
  return (await send(path, withBody("POST", body))).json();
}

function withBody(method: string, body?: unknown): RequestInit {
  if (body === undefined) return { method };
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

const part = encodeURIComponent;

export const api = {
  health: () => get<{ status: string }>("/api/health"),
  info: () => get<Info>("/api/info"),
  status: () => get<Status>("/api/status"),
  collections: async () =>
    (await get<{ collections: Collection[] | null }>("/api/collections")).collections ?? [],
  createCollection: (name: string) => post<Collection>("/api/collections", { name }),
  deleteCollection: (name: string) => send(`/api/collections/${part(name)}`, { method: "DELETE" }),
  documents: async (collection: string) =>
    (
      await get<{ documents: DocumentInfo[] | null }>(
        `/api/collections/${part(collection)}/documents`,
      )
    ).documents ?? [],
  addUrl: async (collection: string, url: string) =>
    (await post<{ jobs: Job[] | null }>(`/api/collections/${part(collection)}/urls`, { url }))
      .jobs ?? [],
  addSite: async (collection: string, site: Site) =>
    (await post<{ jobs: Job[] | null }>(`/api/collections/${part(collection)}/sites`, site)).jobs ??
    [],
  flow: (collection: string) => get<Flow>(`/api/collections/${part(collection)}/queue`),
  pauseQueue: () => post<{ paused: boolean }>("/api/queue/pause"),
  resumeQueue: () => post<{ paused: boolean }>("/api/queue/resume"),
  retryFailed: (collection: string) =>
    post<{ retried: number }>(`/api/collections/${part(collection)}/retry`),
  watches: (collection: string) =>
    get<{ watches: Watching[]; possible: boolean }>(`/api/collections/${part(collection)}/watches`),
  addWatch: (collection: string, watch: { folder: string; include: string[]; exclude: string[] }) =>
    post<Watching>(`/api/collections/${part(collection)}/watches`, watch),
  removeWatch: (id: string) => send(`/api/watches/${part(id)}`, { method: "DELETE" }),
  addSample: (collection: string) =>
    post<{ jobs: Job[] | null; questions?: string[] | null }>(
      `/api/collections/${part(collection)}/sample`,
    ),
  jobs: async (collection: string) =>
    (await get<{ jobs: Job[] | null }>(`/api/collections/${part(collection)}/jobs`)).jobs ?? [],
  cancelJob: (id: string) => post<Job>(`/api/jobs/${part(id)}/cancel`),
  pauseJob: (id: string) => post<Job>(`/api/jobs/${part(id)}/pause`),
  resumeJob: (id: string) => post<Job>(`/api/jobs/${part(id)}/resume`),
  retryJob: (id: string) => post<Job>(`/api/jobs/${part(id)}/retry`),
  unlockJob: async (id: string, password: string) =>
    (await post<{ jobs: Job[] | null }>(`/api/jobs/${part(id)}/password`, { password })).jobs ?? [],
  report: (collection: string, path: string) =>
    get<Report>(`/api/collections/${part(collection)}/report?path=${part(path)}`),
  settings: async (collection: string) =>
    (await get<{ fields: Setting[] }>(`/api/collections/${part(collection)}/settings`)).fields,
  changeSettings: async (collection: string, patch: unknown): Promise<Setting[]> =>
    (
      await (
        await send(`/api/collections/${part(collection)}/settings`, withBody("PATCH", patch))
      ).json()
    ).fields,
  reingest: async (id: string, ocr: "" | "all") =>
    (await post<{ jobs: Job[] | null }>(`/api/documents/${part(id)}/reingest`, { ocr })).jobs ?? [],
  document: (id: string) => get<DocumentInfo>(`/api/documents/${part(id)}`),
  content: (id: string) => get<Content>(`/api/documents/${part(id)}/content`),
  originalUrl: (id: string) => `/api/documents/${part(id)}/original`,
  deleteDocument: (id: string) => send(`/api/documents/${part(id)}`, { method: "DELETE" }),
  conversations: async (offset: number, limit = 50) =>
    (
      await get<{ conversations: Conversation[] | null }>(
        `/api/conversations?limit=${limit}&offset=${offset}`,
      )
    ).conversations ?? [],
  conversation: (id: string) => get<ConversationWithMessages>(`/api/conversations/${part(id)}`),
  renameConversation: async (id: string, title: string): Promise<Conversation> =>
    (await send(`/api/conversations/${part(id)}`, withBody("PATCH", { title }))).json(),
  deleteConversation: (id: string) => send(`/api/conversations/${part(id)}`, { method: "DELETE" }),
  eventsUrl: (collection: string) => `/api/collections/${part(collection)}/events`,
};

export interface Question {
  collection: string;
  question: string;
  conversation_id?: string;
  style?: string;
  agent?: boolean;
  where?: Filter;
}

/**
 * Asks, and yields the answer's events. Aborting the signal closes the connection, which stops the
 * model. A stream that ends without `done` or `error` ends with an "unreachable" error.
 */
export async function* ask(question: Question, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
  const response = await send("/api/ask", {
    ...withBody("POST", { ...question, stream: true }),
    signal,
  });
  if (!response.body) throw new ApiError("internal", "empty reply", response.status);
  let ended = false;
  try {
    for await (const { event, data } of readEvents(response.body)) {
      if (!(event in answerEventTypes)) continue;
      const parsed = { ...JSON.parse(data), type: event } as AnswerEvent;
      ended = parsed.type === "done" || parsed.type === "error";
      yield parsed;
    }
  } catch (error) {
    if (isAbort(error) || error instanceof ApiError) throw error;
    if (error instanceof SyntaxError) throw new ApiError("internal", error.message, 0);
    throw new ApiError("unreachable", "", 0);
  }
  if (!ended) throw new ApiError("unreachable", "", 0);
}

/** Sends files; XMLHttpRequest because fetch tells nothing of an upload's progress. */
export function upload(
  collection: string,
  files: readonly { file: File; path: string }[],
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const { file, path } of files) form.append("file", file, path);
    const request = new XMLHttpRequest();
    request.open("POST", `/api/collections/${part(collection)}/documents`);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.total > 0) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status < 200 || request.status > 299) {
        reject(errorFromBody(request.status, request.responseText));
        return;
      }
      try {
        resolve(JSON.parse(request.responseText) as Uploaded);
      } catch {
        reject(new ApiError("internal", "unreadable reply", request.status));
      }
    };
    request.onerror = () => reject(new ApiError("unreachable", "", 0));
    request.onabort = () => reject(new DOMException("upload stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}
