import {
  ClipboardList,
  Download,
  FileText,
  FolderUp,
  Globe,
  MessageCircle,
  Pause,
  Play,
  RotateCcw,
  ScanText,
  Settings2,
  Trash2,
  TriangleAlert,
  Upload,
  X,
} from "lucide-react";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { api, toFailure } from "../lib/api";
import { baseName, folderOf, formatBytes } from "../lib/format";
import { isActive, jobProgress, stageState } from "../lib/jobs";
import { countPages } from "../lib/pages";
import { withScheme } from "../lib/place";
import { fromInput } from "../lib/uploads";
import { usePreferences } from "../state/preferences";
import {
  keys,
  noteJobs,
  queryClient,
  useCollections,
  useDocuments,
  useInfo,
  useJobs,
} from "../state/queries";
import {
  dropUpload,
  enqueueUploads,
  retryUpload,
  type Upload as UploadItem,
  useUploads,
} from "../state/uploads";
import type { DocumentInfo, Job } from "../types/api";
import type { Failure } from "../types/events";
import { FailureNote, useFailureText } from "./FailureNote";
import { Confirm } from "./Modal";
import { NotFound } from "./NotFound";
import { QueueControls } from "./QueueControls";
import { ReportDrawer } from "./ReportDrawer";
import { SettingsDrawer } from "./SettingsDrawer";
import { useDismissed } from "./useDismissed";
import { useViewer } from "./useViewer";
import { WatchedFolders } from "./WatchedFolders";
import { WebDialog } from "./WebDialog";

// More rows than these say nothing more, and a folder of thousands would stall the page.
const maxRows = 40;

export function DocumentsPage() {
  const { collection = "" } = useParams();
  const { t } = useTranslation();
  const { data: collections } = useCollections();
  const { data: documents, error, refetch } = useDocuments(collection);
  const setLast = usePreferences((state) => state.setLastCollection);
  const [filter, setFilter] = useState("");
  const [settings, setSettings] = useState(false);
  const exists = collections?.some((item) => item.name === collection);
  useEffect(() => {
    if (exists) setLast(collection);
    document.title = `${t("documents.title")}: ${collection} · docent`;
  }, [exists, collection, setLast, t]);
  if (collections && !exists) return <NotFound />;

  const wanted = filter.trim().toLowerCase();
  const shown = (documents ?? []).filter(
    (item) => wanted === "" || `${item.title}\n${item.path}`.toLowerCase().includes(wanted),
  );

  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <div className="mx-auto w-full max-w-[52rem] px-4 pt-5 pb-16 sm:px-8">
        <div className="flex items-end justify-between gap-3">
          <div className="min-w-0">
            <p className="eyebrow">{t("documents.title")}</p>
            <h1 className="truncate font-serif text-[1.9rem] leading-tight font-bold">
              {collection}
            </h1>
          </div>
          <div className="flex shrink-0 gap-2">
            <button
              type="button"
              className="icon-button"
              aria-label={t("collectionSettings.title")}
              title={t("collectionSettings.title")}
              onClick={() => setSettings(true)}
            >
              <Settings2 size={18} aria-hidden="true" />
            </button>
            <Link to={`/c/${encodeURIComponent(collection)}`} className="button shrink-0">
              <MessageCircle size={16} aria-hidden="true" /> {t("documents.back")}
            </Link>
          </div>
        </div>
        {settings && <SettingsDrawer collection={collection} onClose={() => setSettings(false)} />}
        <AddBox collection={collection} />
        <Queue collection={collection} />
        <WatchedFolders collection={collection} />
        {error && (
          <div className="mt-6">
            <FailureNote failure={toFailure(error)}>
              <button type="button" className="button" onClick={() => refetch()}>
                {t("app.retry")}
              </button>
            </FailureNote>
          </div>
        )}
        {documents && documents.length > 0 && (
          <section aria-label={t("documents.title")} className="mt-8">
            <div className="flex items-center justify-between gap-4 pb-2">
              <h2 className="eyebrow">{t("collections.documents", { count: documents.length })}</h2>
              {documents.length > 8 && (
                <input
                  type="search"
                  className="field !w-48"
                  aria-label={t("documents.filter")}
                  placeholder={t("documents.filter")}
                  value={filter}
                  onChange={(event) => setFilter(event.target.value)}
                />
              )}
            </div>
            <ul className="divide-y border-y">
              {shown.map((item) => (
                <DocumentRow key={item.id} item={item} />
              ))}
            </ul>
            {shown.length === 0 && (
              <p className="py-4 text-ink-3">
                {t("documents.filterEmpty", { text: filter.trim() })}
              </p>
            )}
          </section>
        )}
      </div>
    </div>
  );
}

function AddBox({ collection }: { collection: string }) {
  const { t } = useTranslation();
  const { data: info } = useInfo();
  const { data: documents } = useDocuments(collection);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [url, setUrl] = useState("");
  const [failure, setFailure] = useState<Failure>();
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(false);
  const id = useId();
  const roomy = documents?.length === 0;

  function onFiles(list: FileList | null) {
    if (list) enqueueUploads(collection, fromInput(list), info?.max_upload_bytes);
  }

  async function addUrl(event: FormEvent) {
    event.preventDefault();
    const address = url.trim();
    if (address === "") return;
    setBusy(true);
    setFailure(undefined);
    try {
      noteJobs(collection, await api.addUrl(collection, withScheme(address)));
      setUrl("");
    } catch (error) {
      setFailure(toFailure(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <section className="mt-5 rounded-2xl border border-line-2 border-dashed bg-card/60">
      <div
        className={`flex flex-wrap items-center gap-x-4 gap-y-3 px-5 ${roomy ? "py-10" : "py-5"}`}
      >
        <div className="min-w-56 flex-1">
          <p className="font-medium">
            {t("documents.drop")}{" "}
            <button
              type="button"
              className="text-accent underline underline-offset-4"
              onClick={() => files.current?.click()}
            >
              {t("documents.files")}
            </button>{" "}
            {t("welcome.or")}{" "}
            <button
              type="button"
              className="text-accent underline underline-offset-4"
              onClick={() => folder.current?.click()}
            >
              {t("documents.folder")}
            </button>
          </p>
          <p className="text-sm text-ink-3">{t("documents.formats")}</p>
        </div>
        <FolderUp
          size={30}
          strokeWidth={1.4}
          aria-hidden="true"
          className="hidden text-ink-3 sm:block"
        />
        <input
          ref={files}
          type="file"
          multiple
          className="hidden"
          data-testid="files"
          onChange={(event) => {
            onFiles(event.target.files);
            event.target.value = "";
          }}
        />
        <input
          ref={(element) => {
            folder.current = element;
            // React knows no such attribute.
            element?.setAttribute("webkitdirectory", "");
          }}
          type="file"
          multiple
          className="hidden"
          onChange={(event) => {
            onFiles(event.target.files);
            event.target.value = "";
          }}
        />
      </div>
      <form
        onSubmit={addUrl}
        className="flex items-center gap-2 border-t border-dashed px-3 py-2.5"
      >
        <Globe size={17} aria-hidden="true" className="ml-2 shrink-0 text-ink-3" />
        <label htmlFor={id} className="sr-only">
          {t("documents.urlLabel")}
        </label>
        <input
          id={id}
          inputMode="url"
          autoComplete="off"
          spellCheck={false}
          className="min-h-9 min-w-0 flex-1 rounded-lg bg-transparent px-2"
          placeholder={`${t("documents.url")}: ${t("documents.urlPlaceholder")}`}
          value={url}
          onChange={(event) => setUrl(event.target.value)}
        />
        <button type="submit" className="button" disabled={busy || url.trim() === ""}>
          {t("documents.add")}
        </button>
        <button type="button" className="button" onClick={() => setAsking(true)}>
          {t("web.open")}
        </button>
      </form>
      {asking && (
        <WebDialog
          collection={collection}
          address={url}
          onClose={(added) => {
            setAsking(false);
            if (added) setUrl("");
          }}
        />
      )}
      {failure && (
        <div className="px-3 pb-3">
          <FailureNote failure={failure} />
        </div>
      )}
    </section>
  );
}

/** What is on its way, and what did not make it. */
function Queue({ collection }: { collection: string }) {
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
              <JobRow key={job.id} job={job} />
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

function Name({ path }: { path: string }) {
  const folder = folderOf(path);
  return (
    <span className="flex min-w-0 items-baseline gap-1" title={path}>
      {folder && <span className="max-w-[40%] shrink truncate text-sm text-ink-3">{folder}/</span>}
      <span className="min-w-0 truncate font-medium">
        {/^https?:/.test(path) ? path : baseName(path)}
      </span>
    </span>
  );
}

function Bar({ share, label }: { share: number; label: string }) {
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share * 100)}
      className="mt-1.5 h-1.5 overflow-hidden rounded-full bg-line"
    >
      <div
        className="h-full rounded-full bg-accent transition-[width] duration-300"
        style={{ width: `${Math.round(share * 1000) / 10}%` }}
      />
    </div>
  );
}

const shownStages = [
  ["parsing", "parsed"],
  ["chunking", "chunked"],
  ["embedding", "embedded"],
] as const;

function JobRow({ job }: { job: Job }) {
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
          <Name path={job.path} />
          <span className="shrink-0 text-sm text-ink-2 tabular-nums">
            {Math.round(share * 100)}%
          </span>
        </div>
        <Bar share={share} label={`${name}: ${doing}`} />
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

function UploadRow({ item }: { item: UploadItem }) {
  const { t, i18n } = useTranslation();
  const name = baseName(item.path);
  const doing = item.state === "sending" ? t("documents.sending") : t("documents.waiting");
  return (
    <li className="flex items-center gap-3 py-3">
      <div className="min-w-0 flex-1">
        <div className="flex items-baseline justify-between gap-3">
          <Name path={item.path} />
          <span className="shrink-0 text-sm text-ink-3">
            {formatBytes(item.file.size, i18n.language)}
          </span>
        </div>
        <Bar share={item.sent} label={`${name}: ${doing}`} />
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

function ProblemRow({
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
        <Name path={name} />
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

/** Says how many pages of a document have no text, and has them recognised where something can. */
function Missing({ item, name }: { item: DocumentInfo; name: string }) {
  const { t } = useTranslation();
  const { data: info } = useInfo();
  const [failure, setFailure] = useState<Failure>();
  const [busy, setBusy] = useState(false);

  async function recognize() {
    setBusy(true);
    setFailure(undefined);
    try {
      noteJobs(item.collection, await api.reingest(item.id, ""));
    } catch (error) {
      setFailure(toFailure(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <div
      className="mt-1.5 flex flex-wrap items-center gap-x-3 gap-y-1 text-sm sm:ml-[1.95rem]"
      data-testid="partial"
    >
      <span className="rounded bg-marker-wash px-2 py-0.5 font-medium text-ink-2">
        {t("documents.partial")}
      </span>
      <span className="text-ink-2">
        {t("documents.missingText", {
          count: countPages(item.metadata?.pages_without_text ?? ""),
          total: item.pages,
        })}
      </span>
      {info?.ocr && (
        <button
          type="button"
          className="button"
          disabled={busy}
          aria-label={t("documents.recognizeOf", { name })}
          onClick={recognize}
        >
          <ScanText size={16} aria-hidden="true" /> {t("documents.recognize")}
        </button>
      )}
      {failure && <FailureNote failure={failure} />}
    </div>
  );
}

function DocumentRow({ item }: { item: DocumentInfo }) {
  const { t, i18n } = useTranslation();
  const { openDocument, place } = useViewer();
  const [deleting, setDeleting] = useState(false);
  const [reporting, setReporting] = useState(false);
  const name = item.title || baseName(item.path);
  const warnings = item.warnings ?? [];
  const facts = [
    item.title && item.title !== item.path ? item.path : "",
    item.pages > 0 ? t("documents.pageCount", { count: item.pages }) : "",
    item.duplicate_of ? t("documents.duplicate") : t("documents.passages", { count: item.chunks }),
    formatBytes(item.bytes, i18n.language),
    t("documents.added", {
      date: new Date(item.updated_at || item.added_at).toLocaleDateString(i18n.language, {
        day: "numeric",
        month: "short",
        year: "numeric",
      }),
    }),
  ].filter(Boolean);
  return (
    <li
      className={`py-3 ${place?.document === item.id ? "-mx-3 rounded-lg bg-tint px-3" : ""}`}
      data-testid="document"
    >
      <div className="flex items-center gap-3">
        <FileText
          size={19}
          strokeWidth={1.6}
          aria-hidden="true"
          className="hidden shrink-0 text-ink-3 sm:block"
        />
        <button
          type="button"
          className="min-w-0 flex-1 rounded text-left"
          aria-label={t("documents.open", { name })}
          onClick={() => openDocument(item.id)}
        >
          <span className="block truncate font-medium hover:underline">{name}</span>
          <span className="block text-xs text-ink-3">{facts.join(" · ")}</span>
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label={t("report.of", { name })}
          title={t("report.title")}
          onClick={() => setReporting(true)}
        >
          <ClipboardList size={17} aria-hidden="true" />
        </button>
        <a
          className="icon-button"
          href={api.originalUrl(item.id)}
          download={baseName(item.path)}
          aria-label={`${t("documents.download")}: ${name}`}
          title={t("documents.download")}
        >
          <Download size={17} aria-hidden="true" />
        </a>
        <button
          type="button"
          className="icon-button"
          aria-label={t("documents.delete", { name })}
          title={t("app.delete")}
          onClick={() => setDeleting(true)}
        >
          <Trash2 size={17} aria-hidden="true" />
        </button>
      </div>
      {item.metadata?.needs_ocr && <Missing item={item} name={name} />}
      {warnings.length > 0 && (
        <details className="mt-1.5 text-sm sm:ml-[1.95rem]">
          <summary className="flex w-fit items-center gap-1.5 rounded bg-marker-wash px-2 py-0.5 text-ink-2">
            <TriangleAlert size={14} aria-hidden="true" />
            {warnings.length === 1
              ? warnings[0]
              : t("documents.warnings", { count: warnings.length })}
          </summary>
          {warnings.length > 1 && (
            <ul className="mt-1 list-disc pl-6 text-ink-2">
              {warnings.map((warning) => (
                <li key={warning}>{warning}</li>
              ))}
            </ul>
          )}
        </details>
      )}
      {reporting && (
        <ReportDrawer
          collection={item.collection}
          path={item.path}
          documentId={item.id}
          onClose={() => setReporting(false)}
        />
      )}
      <Confirm
        open={deleting}
        onOpenChange={setDeleting}
        title={t("documents.deleteTitle")}
        description={t("documents.deleteHint", { name })}
        action={t("app.delete")}
        onConfirm={async () => {
          await api.deleteDocument(item.id);
          await Promise.all([
            queryClient.invalidateQueries({ queryKey: keys.documents(item.collection) }),
            queryClient.invalidateQueries({ queryKey: keys.collections }),
          ]);
        }}
      />
    </li>
  );
}
