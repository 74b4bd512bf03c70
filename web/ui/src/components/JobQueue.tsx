import { useTranslation } from "react-i18next";
import { api } from "../lib/api";
import { isActive } from "../lib/jobs";
import { noteJobs, queryClient, useJobs } from "../state/queries";
import { dropUpload, retryUpload, useUploads } from "../state/uploads";
import type { Job } from "../types/api";
import { JobRow, UploadRow } from "./JobRow";
import { ProblemRow } from "./ProblemRow";
import { QueueControls } from "./QueueControls";
import { useDismissed } from "./useDismissed";

// More rows than these say nothing more, and a folder of thousands would stall the page.
const maxRows = 40;

/** What is on its way, and what did not make it. */
export function JobQueue({ collection }: { collection: string }) {
  const { t } = useTranslation();
  const jobs = useJobs(collection);
  const uploads = useUploads((state) => state.uploads).filter(
    (item) => item.collection === collection,
  );
  const { dismissed, dismiss } = useDismissed();
  const active = jobs
    .filter(isActive)
    .sort(
      (a, b) =>
        Number(b.state === "running") - Number(a.state === "running") ||
        Date.parse(a.created_at) - Date.parse(b.created_at),
    );
  const failed = jobs.filter(
    (job) =>
      (job.state === "failed" || job.state === "cancelled" || isIdle(job)) &&
      !dismissed.has(job.id) &&
      !isSuperseded(job, jobs),
  );
  const sending = uploads.filter((item) => item.state !== "failed");
  const unsent = uploads.filter((item) => item.state === "failed");
  const count = active.length + sending.length;

  return (
    <>
      {count === 0 && (
        <div className="mt-4 empty:hidden">
          <QueueControls collection={collection} idle />
        </div>
      )}
      {count > 0 && (
        <section aria-label={t("documents.progress")} className="mt-8">
          <div className="flex flex-wrap items-center justify-between gap-x-3">
            <h2 className="eyebrow">
              {t("documents.progress")} · {count}
            </h2>
            <QueueControls collection={collection} />
            {count > 1 && (
              <button
                type="button"
                className="rounded px-2 py-1 text-sm text-ink-2 hover:text-ink"
                onClick={() => {
                  for (const item of sending) dropUpload(item.key);
                  for (const job of active) change(api.cancelJob(job.id));
                }}
              >
                {t("documents.cancelAll")}
              </button>
            )}
          </div>
          <ul className="divide-y">
            {active.slice(0, maxRows).map((job) => (
              <JobRow key={job.id} job={job} change={change} />
            ))}
            {sending.slice(0, Math.max(0, maxRows - active.length)).map((item) => (
              <UploadRow key={item.key} item={item} />
            ))}
          </ul>
          {count > maxRows && (
            <p className="py-2 text-sm text-ink-3">
              {t("documents.moreJobs", { count: count - maxRows })}
            </p>
          )}
        </section>
      )}
      {failed.length + unsent.length > 0 && (
        <section aria-label={t("documents.problems")} className="mt-8">
          <div className="flex items-center justify-between">
            <h2 className="eyebrow">
              {t("documents.problems")} · {failed.length + unsent.length}
            </h2>
            {failed.filter((job) => job.state === "failed").length > 1 && (
              <button
                type="button"
                className="mr-auto ml-3 rounded px-2 py-1 text-sm text-ink-2 hover:text-ink"
                onClick={() => {
                  const again = () => queryClient.invalidateQueries({ queryKey: ["jobs"] });
                  api.retryFailed(collection).then(again, again);
                }}
              >
                {t("documents.retryAll")}
              </button>
            )}
            {failed.length + unsent.length > 1 && (
              <button
                type="button"
                className="rounded px-2 py-1 text-sm text-ink-2 hover:text-ink"
                onClick={() => {
                  dismiss(failed.map((job) => job.id));
                  for (const item of unsent) dropUpload(item.key);
                }}
              >
                {t("documents.dismissAll")}
              </button>
            )}
          </div>
          <ul className="divide-y">
            {unsent.map((item) => (
              <ProblemRow
                key={item.key}
                name={item.path}
                failure={item.failure}
                onRetry={() => retryUpload(item.key)}
                onDismiss={() => dropUpload(item.key)}
              />
            ))}
            {failed.slice(0, maxRows).map((job) => (
              <ProblemRow
                key={job.id}
                name={job.path}
                message={
                  job.state === "cancelled"
                    ? t("documents.cancelled")
                    : isIdle(job)
                      ? t("documents.unchanged")
                      : job.error
                }
                job={job.state === "failed" ? job : undefined}
                quiet={job.state !== "failed"}
                onRetry={job.state === "done" ? undefined : () => change(api.retryJob(job.id))}
                onDismiss={() => dismiss([job.id])}
              />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

const openedAt = Date.now();

/** A file of this visit that was there already: somebody waits to hear of it. */
function isIdle(job: Job): boolean {
  return job.status === "unchanged" && Date.parse(job.created_at) > openedAt - 5_000;
}

/** A failure whose file came again later is no longer news. */
function isSuperseded(job: Job, jobs: readonly Job[]): boolean {
  return jobs.some(
    (other) => other.path === job.path && Date.parse(other.created_at) > Date.parse(job.created_at),
  );
}

async function change(request: Promise<Job>) {
  try {
    const job = await request;
    noteJobs(job.collection, [job]);
  } catch {
    // The stream of jobs tells what became of it.
    queryClient.invalidateQueries({ queryKey: ["jobs"] });
  }
}
