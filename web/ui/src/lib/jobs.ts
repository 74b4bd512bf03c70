// Ingestion jobs, as they come in bursts over server-sent events.
import type { Job, JobStage } from "../types/api";

export function isActive(job: Job): boolean {
  return job.state === "queued" || job.state === "running" || job.state === "paused";
}

/**
 * Merges updates into a list of jobs, newest first. For each id the latest `updated_at` wins, so that
 * a list fetched before an event arrived cannot undo it. Returns the same array if nothing changed.
 */
export function mergeJobs(jobs: readonly Job[], updates: readonly Job[]): readonly Job[] {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  let changed = false;
  for (const update of updates) {
    const known = byId.get(update.id);
    if (known && Date.parse(known.updated_at) > Date.parse(update.updated_at)) continue;
    byId.set(update.id, update);
    changed = true;
  }
  if (!changed) return jobs;
  return [...byId.values()].sort(
    (a, b) => Date.parse(b.created_at) - Date.parse(a.created_at) || (a.path < b.path ? -1 : 1),
  );
}

const stages: readonly JobStage[] = [
  "fetching",
  "parsing",
  "recognizing",
  "cleaning",
  "chunking",
  "embedding",
  "storing",
];

// Where each stage begins and ends on the bar. Embedding is nearly all of the time.
const spans: Record<JobStage, readonly [number, number]> = {
  fetching: [0, 0],
  parsing: [0, 0.15],
  recognizing: [0.05, 0.15],
  cleaning: [0.15, 0.18],
  chunking: [0.18, 0.2],
  embedding: [0.2, 0.97],
  storing: [0.97, 1],
};

/** How far a job is, 0 to 1. */
export function jobProgress(job: Job): number {
  if (job.state === "done") return 1;
  if (job.state === "queued" || !job.stage) return 0;
  const [from, to] = job.kind === "site" ? [0, 1] : spans[job.stage];
  const share = job.total > 0 ? Math.min(1, job.done / job.total) : 0;
  return from + (to - from) * share;
}

/** Whether stage lies behind the job, is the one at work, or is still to come. */
export function stageState(job: Job, stage: JobStage): "done" | "now" | "next" {
  if (job.state === "done") return "done";
  if (job.state === "queued" || !job.stage) return "next";
  const at = stages.indexOf(job.stage);
  const asked = stages.indexOf(stage);
  return asked < at ? "done" : asked === at ? "now" : "next";
}

/** Done and total of the present batch: the unfinished jobs and those that ended since the oldest of them. */
export function batchOf(jobs: readonly Job[]): { done: number; total: number } | undefined {
  const active = jobs.filter(isActive);
  if (active.length === 0) return undefined;
  const since = Math.min(...active.map((job) => Date.parse(job.created_at)));
  const batch = jobs.filter((job) => isActive(job) || Date.parse(job.updated_at) >= since);
  return { done: batch.length - active.length, total: batch.length };
}

/**
 * Collects values and hands them on together, at most once per `delay` milliseconds: hundreds of job
 * events or tokens a second become a few renders.
 */
export function createBatcher<T>(flush: (values: T[]) => void, delay: number) {
  let values: T[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  function now() {
    clearTimeout(timer);
    timer = undefined;
    if (values.length === 0) return;
    const batch = values;
    values = [];
    flush(batch);
  }
  return {
    add(value: T) {
      values.push(value);
      timer ??= setTimeout(now, delay);
    },
    flush: now,
    drop() {
      clearTimeout(timer);
      timer = undefined;
      values = [];
    },
  };
}
