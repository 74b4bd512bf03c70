// Starts what the browser tests need: a real docent, a real Chromium, and a scripted model server in
// the place of a remote one, which no test machine can be asked to have.
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

export function findChromium(): string {
  const named = process.env.CHROMIUM;
  if (named) {
    if (existsSync(named)) return named;
    throw new Error(`CHROMIUM=${named} does not exist; install Chromium: apt-get install chromium`);
  }
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of names) {
      const path = join(folder, name);
      if (existsSync(path)) return path;
    }
  }
  throw new Error(
    "the browser tests need Chromium: apt-get install chromium, or set CHROMIUM to a Chromium or Chrome",
  );
}

function findDocent(): string {
  const path = process.env.DOCENT_BIN;
  if (!path) {
    throw new Error(
      "the browser tests need a docent: make build, then DOCENT_BIN=/path/to/bin/docent",
    );
  }
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Error(`DOCENT_BIN=${path} is no program that can be run; make build makes one`);
  }
  return path;
}

export interface Docent {
  url: string;
  /** Stops the server, and starts it again on the same data and address. */
  restart: () => Promise<void>;
  halt: () => Promise<void>;
  close: () => Promise<void>;
}

export async function startDocent(flags: string[] = []): Promise<Docent> {
  const binary = findDocent();
  const data = mkdtempSync(join(tmpdir(), "docent-e2e-"));
  let child: ChildProcess | undefined;

  async function start(address: string): Promise<string> {
    const started = spawn(
      binary,
      ["--data", data, "--json", "serve", "--addr", address, ...flags],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    child = started;
    let log = "";
    started.stderr?.on("data", (text: Buffer) => {
      log = (log + text.toString()).slice(-20_000);
    });
    return new Promise((resolve, reject) => {
      let out = "";
      const timer = setTimeout(
        () => reject(new Error(`docent said nothing for 60 s\n${log}`)),
        60_000,
      );
      started.stdout?.on("data", (text: Buffer) => {
        out += text.toString();
        const url = /https?:\/\/[^\s"]+/.exec(out)?.[0];
        if (!url) return;
        clearTimeout(timer);
        resolve(url.replace(/\/$/, ""));
      });
      started.once("exit", (code) => {
        clearTimeout(timer);
        reject(new Error(`docent ended with ${code}\n${log}`));
      });
      started.once("error", reject);
    });
  }

  async function halt() {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill("SIGTERM");
    const timer = setTimeout(() => running.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  }

  const url = await start("127.0.0.1:0");
  return {
    url,
    halt,
    async restart() {
      await halt();
      await start(new URL(url).host);
    },
    async close() {
      await halt();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

export interface ModelServer {
  url: string;
  /** How many answers were cut off by whoever asked. */
  aborted: () => number;
  close: () => Promise<void>;
}

interface ChatRequest {
  stream?: boolean;
  messages: { role: string; content: string | { text?: string }[] }[];
}

/**
 * An OpenAI-compatible server that answers by script: `reply` gets the whole prompt as text and gives
 * the pieces to send, one every `pause` milliseconds.
 */
export async function startModelServer(
  reply: (prompt: string) => { pieces: string[]; pause: number },
): Promise<ModelServer> {
  let aborted = 0;

  async function answer(request: IncomingMessage, response: ServerResponse) {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.url?.endsWith("/models")) {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({ object: "list", data: [{ id: "scripted", object: "model" }] }));
      return;
    }
    const chat = JSON.parse(body) as ChatRequest;
    const prompt = chat.messages
      .map(({ content }) =>
        typeof content === "string" ? content : content.map((part) => part.text ?? "").join(""),
      )
      .join("\n");
    const { pieces, pause } = reply(prompt);
    const base = { id: "1", object: "chat.completion", created: 1, model: "scripted" };
    if (!chat.stream) {
      response.setHeader("Content-Type", "application/json");
      const message = { role: "assistant", content: pieces.join("") };
      response.end(
        JSON.stringify({
          ...base,
          choices: [{ index: 0, message, finish_reason: "stop" }],
          usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 },
        }),
      );
      return;
    }
    response.setHeader("Content-Type", "text/event-stream");
    let gone = false;
    response.on("close", () => {
      if (!response.writableEnded) {
        gone = true;
        aborted++;
      }
    });
    const send = (delta: object, finish: string | null) =>
      response.write(
        `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`,
      );
    for (const piece of pieces) {
      if (gone) return;
      send({ role: "assistant", content: piece }, null);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    send({}, "stop");
    response.end("data: [DONE]\n\n");
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    aborted: () => aborted,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
