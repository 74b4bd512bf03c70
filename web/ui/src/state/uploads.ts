// Files on their way from this page to the server. Once there they are jobs.
import { create } from "zustand";
import { isAbort, toFailure, upload } from "../lib/api";
import { type Dropped, planUploads } from "../lib/uploads";
import type { Failure } from "../types/events";
import { noteJobs } from "./queries";

export interface Upload {
  key: number;
  collection: string;
  path: string;
  file: File;
  state: "waiting" | "sending" | "failed";
  /** Share sent, 0 to 1. */
  sent: number;
  failure?: Failure;
}

export const useUploads = create<{ uploads: Upload[] }>(() => ({ uploads: [] }));

let counter = 0;
let busy = false;
const controllers = new Map<number, AbortController>();

function patch(wanted: ReadonlySet<number>, change: Partial<Upload>) {
  useUploads.setState((state) => ({
    uploads: state.uploads.map((item) => (wanted.has(item.key) ? { ...item, ...change } : item)),
  }));
}

function remove(wanted: ReadonlySet<number>) {
  useUploads.setState((state) => ({
    uploads: state.uploads.filter((item) => !wanted.has(item.key)),
  }));
}

export function enqueueUploads(collection: string, dropped: readonly Dropped[], maxBytes?: number) {
  const uploads = dropped.map(({ file, path }): Upload => {
    const item = { key: ++counter, collection, path, file, sent: 0 };
    // Refused here, before gigabytes have travelled for nothing.
    if (maxBytes && file.size > maxBytes) {
      return { ...item, state: "failed", failure: { code: "too_large", message: "" } };
    }
    return { ...item, state: "waiting" };
  });
  useUploads.setState((state) => ({ uploads: [...state.uploads, ...uploads] }));
  pump();
}

export function dropUpload(key: number) {
  controllers.get(key)?.abort();
  remove(new Set([key]));
}

export function retryUpload(key: number) {
  patch(new Set([key]), { state: "waiting", sent: 0, failure: undefined });
  pump();
}

async function pump() {
  if (busy) return;
  busy = true;
  try {
    for (;;) {
      const waiting = useUploads.getState().uploads.filter((item) => item.state === "waiting");
      const first = waiting[0];
      if (!first) return;
      const same = waiting.filter((item) => item.collection === first.collection);
      const group = planUploads(same)[0] ?? [first];
      await sendGroup(first.collection, group);
    }
  } finally {
    busy = false;
  }
}

async function sendGroup(collection: string, group: readonly Upload[]) {
  const wanted = new Set(group.map((item) => item.key));
  const controller = new AbortController();
  for (const key of wanted) controllers.set(key, controller);
  patch(wanted, { state: "sending", sent: 0 });
  try {
    const { jobs, refused } = await upload(
      collection,
      group,
      (sent) => patch(wanted, { sent }),
      controller.signal,
    );
    noteJobs(collection, jobs ?? []);
    const reasons = new Map((refused ?? []).map(({ path, error }) => [path, error]));
    remove(new Set(group.filter((item) => !reasons.has(item.path)).map((item) => item.key)));
    for (const item of group) {
      const message = reasons.get(item.path);
      if (message !== undefined) {
        patch(new Set([item.key]), { state: "failed", failure: { code: "bad_request", message } });
      }
    }
  } catch (error) {
    if (isAbort(error)) {
      // One file of the group was taken back: the others go again.
      patch(wanted, { state: "waiting", sent: 0 });
    } else if (group.length > 1 && toFailure(error).code !== "unreachable") {
      // One bad file must not fail its neighbours: each goes alone, and tells its own story.
      for (const item of group) await sendGroup(collection, [item]);
    } else {
      patch(wanted, { state: "failed", failure: toFailure(error) });
    }
  } finally {
    for (const key of wanted) controllers.delete(key);
  }
}
