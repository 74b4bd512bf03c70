// Conversations that are open, and the answers on their way. They live outside the components, so
// that an answer goes on while its reader looks at something else.
import { create } from "zustand";
import { api, ask, isAbort, toFailure } from "../lib/api";
import type { Filter } from "../lib/filter";
import { createBatcher } from "../lib/jobs";
import { applyEvent, newTurn, type Turn, turnsFromMessages } from "../lib/turns";
import type { AnswerEvent, Failure } from "../types/events";
import { keys, queryClient } from "./queries";

export interface Thread {
  collection: string;
  title: string;
  turns: Turn[];
}

interface Chats {
  threads: Record<string, Thread>;
  failures: Record<string, Failure>;
}

export const useChats = create<Chats>(() => ({ threads: {}, failures: {} }));

const running = new Map<string, AbortController>();
let counter = 0;

/** A new conversation has no id until the server gives one; its thread is kept under this meanwhile. */
export const draftKey = (collection: string) => `draft:${collection}`;

function patchThread(id: string, change: (thread: Thread) => Thread) {
  useChats.setState((state) => {
    const thread = state.threads[id];
    return thread ? { threads: { ...state.threads, [id]: change(thread) } } : state;
  });
}

function patchTurn(id: string, key: string, change: (turn: Turn) => Turn) {
  patchThread(id, (thread) => ({
    ...thread,
    turns: thread.turns.map((turn) => (turn.key === key ? change(turn) : turn)),
  }));
}

// An answer that was stopped or is made for another tab is recorded a moment after the question: a
// conversation that ends in a question is read again this often, for so long (milliseconds).
const rereadEvery = 1_500;
const rereadFor = 30_000;

export async function openThread(id: string, since = Date.now()) {
  if (running.has(id)) return;
  try {
    const conversation = await api.conversation(id);
    if (running.has(id)) return;
    const messages = conversation.messages ?? [];
    if (messages[messages.length - 1]?.role === "user" && Date.now() - since < rereadFor) {
      setTimeout(() => void openThread(id, since), rereadEvery);
    }
    useChats.setState((state) => {
      const { [id]: _, ...failures } = state.failures;
      return {
        failures,
        threads: {
          ...state.threads,
          [id]: {
            collection: conversation.collection,
            title: conversation.title,
            turns: turnsFromMessages(messages),
          },
        },
      };
    });
  } catch (error) {
    useChats.setState((state) => ({ failures: { ...state.failures, [id]: toFailure(error) } }));
  }
}

export function forgetThread(id: string) {
  stop(id);
  useChats.setState((state) => {
    const { [id]: _, ...threads } = state.threads;
    return { threads };
  });
}

/** Clears what is left of a question that failed before its conversation began. */
export function forgetDraft(collection: string) {
  const id = draftKey(collection);
  if (!running.has(id)) forgetThread(id);
}

export function stop(id: string): boolean {
  const controller = running.get(id);
  controller?.abort();
  return controller !== undefined;
}

export function isRunning(thread: Thread | undefined): boolean {
  return thread?.turns[thread.turns.length - 1]?.phase === "streaming";
}

export interface AskOptions {
  collection: string;
  question: string;
  conversation?: string;
  style?: string;
  agent?: boolean;
  /** Which documents are asked; all of them without it. */
  where?: Filter;
  /** The key of a turn that never reached the server, which this one takes the place of. */
  instead?: string;
  /** Called once, when a new conversation has got its id. */
  onStarted?: (id: string) => void;
}

/** Asks, and keeps the conversation's turn up to date until the answer ends. */
export async function askQuestion(options: AskOptions): Promise<void> {
  const { collection, question, conversation, style, agent, where } = options;
  let id = conversation ?? draftKey(collection);
  if (running.has(id)) return;
  const controller = new AbortController();
  running.set(id, controller);
  const key = `live-${++counter}`;
  useChats.setState((state) => {
    const thread = conversation ? state.threads[id] : undefined;
    const before = (thread?.turns ?? []).filter((turn) => turn.key !== options.instead);
    const turns = [...before, newTurn(key, question, { style, agent, where })];
    return {
      threads: {
        ...state.threads,
        [id]: { collection, title: thread?.title ?? question, turns },
      },
    };
  });

  const batcher = createBatcher<AnswerEvent>((events) => {
    patchTurn(id, key, (turn) => events.reduce(applyEvent, turn));
  }, 40);

  try {
    for await (const event of ask(
      { collection, question, conversation_id: conversation, style, agent, where },
      controller.signal,
    )) {
      if (event.type === "started" && !conversation && event.conversation_id !== id) {
        batcher.flush();
        const from = id;
        id = event.conversation_id;
        running.delete(from);
        running.set(id, controller);
        batcher.add(event);
        useChats.setState((state) => {
          const { [from]: thread, ...threads } = state.threads;
          return { threads: thread ? { ...threads, [id]: thread } : threads };
        });
        options.onStarted?.(id);
        queryClient.invalidateQueries({ queryKey: keys.conversations });
        continue;
      }
      batcher.add(event);
    }
    batcher.flush();
  } catch (error) {
    batcher.flush();
    patchTurn(id, key, (turn) => {
      if (turn.phase !== "streaming") return turn;
      if (isAbort(error)) return { ...turn, phase: "stopped", stage: undefined };
      return { ...turn, phase: "failed", stage: undefined, failure: toFailure(error) };
    });
  } finally {
    running.delete(id);
    queryClient.invalidateQueries({ queryKey: keys.conversations });
  }
}
