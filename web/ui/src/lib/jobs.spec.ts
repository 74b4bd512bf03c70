import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job } from "../types/api";
import { batchOf, createBatcher, jobProgress, mergeJobs, stageState } from "./jobs";

function job(change: Partial<Job> = {}): Job {
  return {
    id: "1",
    collection: "c",
    path: "a.md",
    bytes: 1,
    state: "running",
    stage: "embedding",
    done: 0,
    total: 0,
    created_at: "2026-01-01T00:00:00Z",
    updated_at: "2026-01-01T00:00:01Z",
    ...change,
  };
}

describe("mergeJobs", () => {
  it("keeps the newer state of a job, whichever comes first", () => {
    const old = job({ done: 1, updated_at: "2026-01-01T00:00:01Z" });
    const recent = job({ done: 9, updated_at: "2026-01-01T00:00:02.5Z" });
    expect(mergeJobs([old], [recent])).toEqual([recent]);
    expect(mergeJobs([recent], [old])).toEqual([recent]);
  });
  it("sorts newest first, then by path", () => {
    const a = job({ id: "a", path: "b", created_at: "2026-01-01T00:00:00Z" });
    const b = job({ id: "b", path: "a", created_at: "2026-01-01T00:00:00Z" });
    const c = job({ id: "c", path: "z", created_at: "2026-01-02T00:00:00Z" });
    expect(mergeJobs([a], [b, c]).map((j) => j.id)).toEqual(["c", "b", "a"]);
  });
  it("returns the same list when nothing is new", () => {
    const list = [job()];
    expect(mergeJobs(list, [])).toBe(list);
  });
});

describe("jobProgress", () => {
  it("only grows from stage to stage", () => {
    const way = [
      job({ state: "queued", stage: "" }),
      job({ stage: "parsing" }),
      job({ stage: "parsing", done: 5, total: 10 }),
      job({ stage: "chunking" }),
      job({ stage: "embedding", done: 0, total: 10 }),
      job({ stage: "embedding", done: 9, total: 10 }),
      job({ stage: "storing" }),
      job({ state: "done", stage: "storing" }),
    ].map(jobProgress);
    expect(way).toEqual([...way].sort((a, b) => a - b));
    expect(way[0]).toBe(0);
    expect(way[way.length - 1]).toBe(1);
  });
  it("survives more done than total", () => {
    expect(jobProgress(job({ done: 20, total: 10 }))).toBeLessThanOrEqual(1);
  });
});

describe("stageState", () => {
  it("tells past, present and future", () => {
    const running = job({ stage: "chunking" });
    expect(stageState(running, "parsing")).toBe("done");
    expect(stageState(running, "chunking")).toBe("now");
    expect(stageState(running, "embedding")).toBe("next");
    expect(stageState(job({ state: "queued" }), "parsing")).toBe("next");
    expect(stageState(job({ state: "done" }), "embedding")).toBe("done");
  });
});

describe("batchOf", () => {
  it("is undefined when all is done", () => {
    expect(batchOf([job({ state: "done" })])).toBeUndefined();
  });
  it("counts this batch and not the last one", () => {
    const yesterday = job({ id: "0", state: "done", updated_at: "2025-12-31T00:00:00Z" });
    const done = job({ id: "1", state: "done" });
    const running = job({ id: "2" });
    expect(batchOf([yesterday, done, running])).toEqual({ done: 1, total: 2 });
  });
});

describe("createBatcher", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  it("hands on a burst once, in order", () => {
    const flush = vi.fn();
    const batcher = createBatcher<number>(flush, 40);
    batcher.add(1);
    batcher.add(2);
    expect(flush).not.toHaveBeenCalled();
    vi.advanceTimersByTime(40);
    batcher.add(3);
    vi.advanceTimersByTime(40);
    expect(flush.mock.calls).toEqual([[[1, 2]], [[3]]]);
  });
  it("flushes at once when asked, and not again", () => {
    const flush = vi.fn();
    const batcher = createBatcher<number>(flush, 40);
    batcher.add(1);
    batcher.flush();
    vi.advanceTimersByTime(100);
    expect(flush).toHaveBeenCalledTimes(1);
  });
});
