import { describe, expect, it } from "vitest";
import type { Answer, AnswerEvent, Passage } from "../types/events";
import { applyEvent, newTurn, reasoningOf, turnsFromMessages } from "./turns";

const passage: Passage = {
  n: 1,
  chunk_id: 7,
  document_id: "d",
  document: "Handbook",
  path: "handbook.md",
  start: 0,
  end: 5,
  text: "hello",
  score: 1,
};
const answer: Answer = {
  answer: "Fifteen days [1]",
  citations: [],
  passages: [passage],
  model: "m",
  usage: { prompt_tokens: 0, completion_tokens: 0 },
};

function run(events: AnswerEvent[]) {
  return events.reduce(applyEvent, newTurn("k", "q"));
}

describe("applyEvent", () => {
  it("follows an answer from search to done", () => {
    const half = run([
      { type: "started", conversation_id: "c", message_id: "m" },
      { type: "status", stage: "searching", query: "leave days" },
      { type: "sources", passages: [passage] },
      { type: "status", stage: "generating" },
      { type: "token", text: "Fifteen " },
      { type: "token", text: "days [1] [9]" },
    ]);
    expect(half).toMatchObject({
      phase: "streaming",
      stage: "generating",
      query: "leave days",
      text: "Fifteen days [1] [9]",
      passages: [passage],
    });
    expect(applyEvent(half, { type: "done", answer })).toMatchObject({
      phase: "done",
      text: "Fifteen days [1]",
      answer,
    });
  });
  it("joins reasoning and pairs tool calls with their results", () => {
    const turn = run([
      { type: "reasoning", text: "I need " },
      { type: "reasoning", text: "the price." },
      { type: "tool_call", id: "1", name: "search", input: "price" },
      { type: "tool_result", id: "1", name: "search", output: "12" },
      { type: "reasoning", text: "Now multiply." },
      { type: "tool_call", id: "2", name: "calculator", input: "12*x" },
      { type: "tool_result", id: "2", name: "calculator", output: "", error: "unknown x" },
      { type: "tool_result", id: "3", name: "late", output: "orphan" },
    ]);
    expect(turn.steps).toEqual([
      { kind: "thought", text: "I need the price." },
      { kind: "tool", id: "1", name: "search", input: "price", output: "12", error: undefined },
      { kind: "thought", text: "Now multiply." },
      { kind: "tool", id: "2", name: "calculator", input: "12*x", output: "", error: "unknown x" },
      { kind: "tool", id: "3", name: "late", input: "", output: "orphan" },
    ]);
    expect(reasoningOf(turn)).toBe("I need the price.\n\nNow multiply.");
  });
  it("takes tokens before a tool call or a new stage for thinking", () => {
    const thinking: AnswerEvent = { type: "token", text: "Let me look." };
    expect(run([thinking, { type: "tool_call", id: "1", name: "s", input: "" }]).text).toBe("");
    expect(run([thinking, { type: "status", stage: "searching" }]).text).toBe("");
  });
  it("keeps what had come when the stream fails", () => {
    const turn = run([
      { type: "token", text: "Half" },
      { type: "error", error: { code: "model_unavailable", message: "gone" } },
    ]);
    expect(turn).toMatchObject({
      phase: "failed",
      text: "Half",
      failure: { code: "model_unavailable" },
    });
  });
});

describe("turnsFromMessages", () => {
  const at = "2026-01-01T00:00:00Z";
  it("pairs questions with answers, also where one is missing", () => {
    const turns = turnsFromMessages([
      { id: "1", role: "user", content: "a?", created_at: at },
      { id: "2", role: "assistant", content: "ignored", answer, created_at: at },
      { id: "3", role: "user", content: "b?", created_at: at },
      { id: "4", role: "user", content: "c?", created_at: at },
      { id: "5", role: "assistant", content: "half an ans", created_at: at },
      { id: "6", role: "user", content: "d?", created_at: at },
      { id: "7", role: "assistant", content: "", error: "no model", created_at: at },
      { id: "8", role: "user", content: "e?", created_at: at },
      {
        id: "9",
        role: "assistant",
        content: "so far",
        error: { code: "cancelled", message: "stopped" },
        created_at: at,
      },
    ]);
    expect(turns.map((turn) => [turn.question, turn.phase, turn.text])).toEqual([
      ["a?", "done", "Fifteen days [1]"],
      ["b?", "stopped", ""],
      ["c?", "stopped", "half an ans"],
      ["d?", "failed", ""],
      ["e?", "stopped", "so far"],
    ]);
    expect(turns[3]?.failure).toEqual({ code: "internal", message: "no model" });
  });
});
