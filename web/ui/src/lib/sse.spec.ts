import { describe, expect, it } from "vitest";
import { createEventParser, readEvents, type ServerEvent } from "./sse";

function parse(pieces: string[]): ServerEvent[] {
  const events: ServerEvent[] = [];
  const parser = createEventParser((event) => events.push(event));
  for (const piece of pieces) parser.push(piece);
  return events;
}

const stream =
  '\uFEFF: hello\n\nevent: started\ndata: {"id":1}\n\nevent:token\r\ndata: 你好 😀\r\n\r\n' +
  "data: a\rdata:b\rdata\r\rid: 4\nretry: 10\nevent: nothing\n\ndata:  two spaces\n\nevent: cut\ndata: never ends";

const want: ServerEvent[] = [
  { event: "started", data: '{"id":1}' },
  { event: "token", data: "你好 😀" },
  { event: "message", data: "a\nb\n" },
  { event: "message", data: " two spaces" },
];

describe("createEventParser", () => {
  it("reads fields, comments, line ends and multi-line data", () => {
    expect(parse([stream])).toEqual(want);
  });

  it("gives the same events wherever the text is cut once", () => {
    for (let i = 0; i <= stream.length; i++) {
      expect(parse([stream.slice(0, i), stream.slice(i)])).toEqual(want);
    }
  });

  it("gives the same events one character at a time", () => {
    expect(parse([...Array(stream.length).keys()].map((i) => stream.charAt(i)))).toEqual(want);
  });
});

describe("readEvents", () => {
  it("joins characters cut between byte chunks", async () => {
    const bytes = new TextEncoder().encode(stream);
    for (const size of [1, 2, 3, 7, 64, bytes.length]) {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size));
          controller.close();
        },
      });
      const events: ServerEvent[] = [];
      for await (const event of readEvents(body)) events.push(event);
      expect(events).toEqual(want);
    }
  });
});
