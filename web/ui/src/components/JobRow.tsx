import { Pause, Play, Upload, X } from "lucide-react";
import { useTranslation } from "react-i18next";
import { api } from "../lib/api";
import { baseName, formatBytes } from "../lib/format";
import { jobProgress, stageState } from "../lib/jobs";
import { dropUpload, type Upload as UploadItem } from "../state/uploads";
import type { Job } from "../types/api";
import { PathName } from "./PathName";
import { ProgressBar } from "./ProgressBar";

const shownStages = [
  ["parsing", "parsed"],
  ["chunking", "chunked"],
  ["embedding", "embedded"],
] as const;

interface JobRowProps {
  job: Job;
  /** Takes what the server says a job has become. */
  change: (request: Promise<Job>) => void;
}

/** A file on its way through the stages. */
export function JobRow({ job, change }: JobRowProps) {
  const { t, i18n } = useTranslation();
  const share = jobProgress(job);
  const name = baseName(job.path);
  const counts =
    job.state === "running" && job.total > 0
      ? `${job.done.toLocaleString(i18n.language)} / ${job.total.toLocaleString(i18n.language)}`
      : "";
  const doing =
    job.state === "paused"
      ? t("documents.paused")
      : job.state === "queued" || !job.stage
        ? t("documents.queued")
        : t(`documents.${job.stage}`);
  return (
    <li className="flex items-center gap-3 py-3" data-testid="job">
      <div className="min-w-0 flex-1">
        <div className="flex items-baseline justify-between gap-3">
          <PathName path={job.path} />
          <span className="shrink-0 text-sm text-ink-2 tabular-nums">
            {Math.round(share * 100)}%
          </span>
        </div>
        <ProgressBar share={share} label={`${name}: ${doing}`} />
        <div className="mt-1 flex flex-wrap gap-x-3 text-xs text-ink-3 tabular-nums">
          <span className="text-ink-2">
            {doing} {counts}
          </span>
          <span className="ml-auto flex gap-2" aria-hidden="true">
            {(job.kind === "site" ? [] : shownStages).map(([stage, label]) => {
              const state = stageState(job, stage);
              return (
                <span
                  key={stage}
                  className={
                    state === "done"
                      ? "text-accent"
                      : state === "now"
                        ? "font-semibold text-ink"
                        : ""
                  }
                >
                  {state === "done" ? "✓ " : ""}
                  {t(`documents.${label}`)}
                </span>
              );
            })}
          </span>
        </div>
      </div>
      <button
        type="button"
        className="icon-button"
        aria-label={
          job.state === "paused"
            ? t("documents.resumeJob", { name })
            : t("documents.pauseJob", { name })
        }
        title={job.state === "paused" ? t("documents.resume") : t("documents.pause")}
        onClick={() =>
          change(job.state === "paused" ? api.resumeJob(job.id) : api.pauseJob(job.id))
        }
      >
        {job.state === "paused" ? (
          <Play size={16} aria-hidden="true" />
        ) : (
          <Pause size={16} aria-hidden="true" />
        )}
      </button>
      <button
        type="button"
        className="icon-button"
        aria-label={t("documents.cancelJob", { name })}
        title={t("app.cancel")}
        onClick={() => change(api.cancelJob(job.id))}
      >
        <X size={17} aria-hidden="true" />
      </button>
    </li>
  );
}

/** A file that is still on its way to the server. */
export function UploadRow({ item }: { item: UploadItem }) {
  const { t, i18n } = useTranslation();
  const name = baseName(item.path);
  const doing = item.state === "sending" ? t("documents.sending") : t("documents.waiting");
  return (
    <li className="flex items-center gap-3 py-3">
      <div className="min-w-0 flex-1">
        <div className="flex items-baseline justify-between gap-3">
          <PathName path={item.path} />
          <span className="shrink-0 text-sm text-ink-3">
            {formatBytes(item.file.size, i18n.language)}
          </span>
        </div>
        <ProgressBar share={item.sent} label={`${name}: ${doing}`} />
        <p className="mt-1 flex items-center gap-1.5 text-xs text-ink-2">
          <Upload size={13} aria-hidden="true" /> {doing}
        </p>
      </div>
      <button
        type="button"
        className="icon-button"
        aria-label={t("documents.cancelJob", { name })}
        title={t("app.cancel")}
        onClick={() => dropUpload(item.key)}
      >
        <X size={17} aria-hidden="true" />
      </button>
    </li>
  );
}
