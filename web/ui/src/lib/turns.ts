// A conversation as the page shows it: questions, each with its answer in whatever state it is.
import type { Message } from "../types/api";
import type { Answer, AnswerEvent, Failure, Passage, Stage } from "../types/events";
import type { Filter } from "./filter";

export interface ToolStep {
  kind: "tool";
  id: string;
  name: string;
  input: string;
  output?: string;
  error?: string;
}

export interface ThoughtStep {
  kind: "thought";
  text: string;
}

export type Step = ToolStep | ThoughtStep;

export type Phase = "streaming" | "done" | "stopped" | "failed";

export interface Turn {
  key: string;
  question: string;
  askedAt: string;
  phase: Phase;
  /** The server has recorded the question. */
  started?: boolean;
  style?: string;
  agent?: boolean;
  where?: Filter;
  stage?: Stage;
  query?: string;
  passages: Passage[];
  text: string;
  steps: Step[];
  answer?: Answer;
  failure?: Failure;
}

export function newTurn(key: string, question: string, change: Partial<Turn> = {}): Turn {
  return {
    key,
    question,
    askedAt: new Date().toISOString(),
    phase: "streaming",
    passages: [],
    text: "",
    steps: [],
    ...change,
  };
}

/** The turn after an event. Pure: the turn given is not changed. */
export function applyEvent(turn: Turn, event: AnswerEvent): Turn {
  switch (event.type) {
    case "started":
      return { ...turn, started: true };
    case "status":
      // Tokens before a new stage or a tool call turn out to have been thinking, not the answer.
      return { ...turn, stage: event.stage, query: event.query ?? turn.query, text: "" };
    case "sources":
      return { ...turn, passages: event.passages ?? [] };
    case "token":
      return { ...turn, stage: "generating", text: turn.text + event.text };
    case "reasoning":
      return { ...turn, stage: "thinking", steps: addThought(turn.steps, event.text) };
    case "tool_call":
      return {
        ...turn,
        text: "",
        steps: [
          ...turn.steps,
          { kind: "tool", id: event.id, name: event.name, input: event.input },
        ],
      };
    case "tool_result":
      return { ...turn, steps: addResult(turn.steps, event) };
    case "done":
      return {
        ...turn,
        phase: "done",
        stage: undefined,
        text: event.answer.answer,
        passages: event.answer.passages ?? turn.passages,
        answer: event.answer,
      };
    case "error":
      return { ...turn, phase: "failed", stage: undefined, failure: event.error };
  }
}

function addThought(steps: Step[], text: string): Step[] {
  const last = steps[steps.length - 1];
  if (last?.kind === "thought") return [...steps.slice(0, -1), { ...last, text: last.text + text }];
  return [...steps, { kind: "thought", text }];
}

function addResult(
  steps: Step[],
  result: { id: string; name: string; output: string; error?: string },
): Step[] {
  const at = steps.findLastIndex((step) => step.kind === "tool" && step.id === result.id);
  const call = steps[at];
  if (call?.kind !== "tool") {
    const { id, name, output, error } = result;
    return [...steps, { kind: "tool", id, name, input: "", output, error }];
  }
  return steps.with(at, { ...call, output: result.output, error: result.error });
}

/** The turns of a stored conversation: each question with the answer that follows it. */
export function turnsFromMessages(messages: readonly Message[]): Turn[] {
  const turns: Turn[] = [];
  for (const message of messages) {
    if (message.role === "user") {
      turns.push(
        newTurn(message.id, message.content, { askedAt: message.created_at, phase: "stopped" }),
      );
      continue;
    }
    let turn = turns[turns.length - 1];
    if (turn?.text !== "" || turn.answer || turn.failure) {
      turn = newTurn(message.id, "", { askedAt: message.created_at, phase: "stopped" });
      turns.push(turn);
    }
    for (const step of message.steps ?? []) {
      if (step.type === "tool_call") turn.steps.push({ kind: "tool", ...step.data });
      else if (step.type === "tool_result") turn.steps = addResult(turn.steps, step.data);
      else turn.steps = addThought(turn.steps, step.data.text);
    }
    turn.text = message.answer?.answer ?? message.content;
    turn.where = message.where;
    if (message.answer) {
      turn.answer = message.answer;
      turn.passages = message.answer.passages ?? [];
      turn.phase = "done";
    }
    if (message.error) {
      const failure =
        typeof message.error === "string"
          ? { code: "internal", message: message.error }
          : message.error;
      if (failure.code === "cancelled") turn.phase = "stopped";
      else {
        turn.failure = failure;
        turn.phase = "failed";
      }
    }
  }
  return turns;
}

/** Reasoning to show: the steps' thoughts, or the finished answer's own. */
export function reasoningOf(turn: Turn): string {
  const thoughts = turn.steps.filter((step) => step.kind === "thought").map((step) => step.text);
  return thoughts.join("\n\n").trim() || (turn.answer?.reasoning ?? "").trim();
}
