import { ClipboardList, RotateCcw, TriangleAlert, X } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { baseName } from "../lib/format";
import { noteJobs } from "../state/queries";
import type { Job } from "../types/api";
import type { Failure } from "../types/events";
import { FailureNote, useFailureText } from "./FailureNote";
import { PathName } from "./PathName";
import { ReportDrawer } from "./ReportDrawer";

/** Asks for the password of an encrypted file. */
function PasswordForm({ job }: { job: Job }) {
  const { t } = useTranslation();
  const [password, setPassword] = useState("");
  const [failure, setFailure] = useState<Failure>();
  const id = useId();

  async function unlock(event: FormEvent) {
    event.preventDefault();
    setFailure(undefined);
    try {
      noteJobs(job.collection, await api.unlockJob(job.id, password));
    } catch (error) {
      setFailure(toFailure(error));
    }
  }

  return (
    <form onSubmit={unlock} className="mt-1.5 flex flex-wrap items-center gap-2">
      <label htmlFor={id} className="sr-only">
        {t("documents.password", { name: baseName(job.path) })}
      </label>
      <input
        id={id}
        type="password"
        autoComplete="off"
        className="field !w-48"
        placeholder={t("documents.passwordShort")}
        value={password}
        onChange={(event) => setPassword(event.target.value)}
      />
      <button type="submit" className="button" disabled={password === ""}>
        {t("documents.unlock")}
      </button>
      {failure && <FailureNote failure={failure} />}
    </form>
  );
}

interface ProblemProps {
  /** The job that failed; absent for what never was one. */
  job?: Job;
  name: string;
  message?: string;
  failure?: Failure;
  quiet?: boolean;
  onRetry?: () => void;
  onDismiss: () => void;
}

/** A file that did not make it, and why. */
export function ProblemRow({
  name,
  message,
  failure,
  job,
  quiet = false,
  onRetry,
  onDismiss,
}: ProblemProps) {
  const { t } = useTranslation();
  const [reporting, setReporting] = useState(false);
  const failureText = useFailureText();
  const short = baseName(name);
  const text = failure ? failureText(failure) : undefined;
  return (
    <li className="flex items-start gap-2 py-3" data-testid="problem">
      <TriangleAlert
        size={17}
        aria-hidden="true"
        className={`mt-[0.25em] shrink-0 ${quiet ? "text-ink-3" : "text-danger"}`}
      />
      <div className="min-w-0 flex-1">
        <PathName path={name} />
        <p className={`text-sm ${quiet ? "text-ink-3" : "text-danger"}`}>
          {text ? `${text.title} ${text.message}` : message || t("documents.failed")}
        </p>
        {job?.error?.startsWith("a password is needed") && <PasswordForm job={job} />}
      </div>
      {job && (
        <button
          type="button"
          className="icon-button"
          aria-label={t("report.of", { name: short })}
          title={t("report.title")}
          onClick={() => setReporting(true)}
        >
          <ClipboardList size={16} aria-hidden="true" />
        </button>
      )}
      {job && reporting && (
        <ReportDrawer
          collection={job.collection}
          path={job.path}
          onClose={() => setReporting(false)}
        />
      )}
      {onRetry && (
        <button
          type="button"
          className="icon-button"
          aria-label={t("documents.retryJob", { name: short })}
          title={t("app.retry")}
          onClick={onRetry}
        >
          <RotateCcw size={16} aria-hidden="true" />
        </button>
      )}
      <button
        type="button"
        className="icon-button"
        aria-label={t("documents.dismiss", { name: short })}
        onClick={onDismiss}
      >
        <X size={17} aria-hidden="true" />
      </button>
    </li>
  );
}
