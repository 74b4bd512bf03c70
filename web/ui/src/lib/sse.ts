// Server-sent events, read from a fetch body: EventSource cannot POST.

export interface ServerEvent {
  event: string;
  data: string;
}

/**
 * A push parser for the text/event-stream format (HTML Living Standard, 9.2.6). The events that come
 * out do not depend on how the text is cut into pieces: lines may end in LF, CR or CRLF, and a CRLF
 * may be cut in two.
 */
export function createEventParser(onEvent: (event: ServerEvent) => void) {
  let line = "";
  let name = "";
  let data: string[] = [];
  let skipLineFeed = false;
  let first = true;

  function endOfLine() {
    if (line === "") {
      if (data.length > 0) onEvent({ event: name || "message", data: data.join("\n") });
      name = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
    line = "";
  }

  return {
    push(text: string) {
      let from = 0;
      if (first && text.length > 0) {
        first = false;
        if (text.charCodeAt(0) === 0xfeff) from = 1;
      }
      for (let i = from; i < text.length; i++) {
        const c = text.charCodeAt(i);
        if (c === 10 && skipLineFeed) {
          skipLineFeed = false;
          from = i + 1;
          continue;
        }
        skipLineFeed = false;
        if (c === 10 || c === 13) {
          line += text.slice(from, i);
          from = i + 1;
          skipLineFeed = c === 13;
          endOfLine();
          line = "";
        }
      }
      line += text.slice(from);
    },
  };
}

/** Reads a response body as server-sent events, until it ends or the request is aborted. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const queue: ServerEvent[] = [];
  const parser = createEventParser((event) => queue.push(event));
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      yield* queue.splice(0);
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
