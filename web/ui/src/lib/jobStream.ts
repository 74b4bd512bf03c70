import type { Flow, Job } from "../types/api";
import { api } from "./api";
import { createBatcher } from "./jobs";

/**
 * Follows the jobs of a collection: events in batches, reconnecting with growing pauses, and the whole
 * list again after each gap, since events are not replayed. A hidden page lets its connection go:
 * browsers allow six to a host, and every tab holds one. Returns a function that stops it.
 */
export function followJobs(
  collection: string,
  onJobs: (jobs: Job[]) => void,
  onFlow: (flow: Flow) => void,
): () => void {
  const batcher = createBatcher<Job>(onJobs, 80);
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pause = 500;
  let stopped = false;

  function open() {
    clearTimeout(timer);
    source?.close();
    if (stopped || document.hidden) return;
    const opened = new EventSource(api.eventsUrl(collection));
    source = opened;
    opened.onopen = () => {
      pause = 500;
      api.jobs(collection).then(
        (jobs) => {
          if (!stopped) onJobs(jobs);
        },
        () => undefined,
      );
    };
    opened.addEventListener("job", (event: MessageEvent<string>) => {
      batcher.add(JSON.parse(event.data) as Job);
    });
    opened.addEventListener("queue", (event: MessageEvent<string>) => {
      if (!stopped) onFlow(JSON.parse(event.data) as Flow);
    });
    opened.onerror = () => {
      opened.close();
      timer = setTimeout(open, pause);
      pause = Math.min(pause * 2, 10_000);
    };
  }

  function onVisibility() {
    if (document.hidden) {
      clearTimeout(timer);
      source?.close();
    } else {
      pause = 500;
      open();
    }
  }

  document.addEventListener("visibilitychange", onVisibility);
  open();
  return () => {
    stopped = true;
    clearTimeout(timer);
    source?.close();
    batcher.drop();
    document.removeEventListener("visibilitychange", onVisibility);
  };
}
