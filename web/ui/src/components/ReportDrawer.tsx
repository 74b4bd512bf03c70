import { ScanText } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { formatBytes } from "../lib/format";
import { pageRanges } from "../lib/pages";
import { noteJobs, useReport } from "../state/queries";
import type { Passage, Report } from "../types/api";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";
import { Drawer } from "./Modal";

interface Props {
  collection: string;
  path: string;
  /** Absent for a file that failed. */
  documentId?: string;
  onClose: () => void;
}

/** What became of a file: what was read, what cleaning did, how long it took. */
export function ReportDrawer({ collection, path, documentId, onClose }: Props) {
  const { t } = useTranslation();
  const { data: report, error } = useReport(collection, path);
  return (
    <Drawer
      open
      onOpenChange={(open) => !open && onClose()}
      title={t("report.title")}
      description={path}
    >
      {error && <FailureNote failure={toFailure(error)} />}
      {report && <Body report={report} />}
      {report && documentId && report.status !== "duplicate" && (
        <Again
          collection={collection}
          documentId={documentId}
          format={report.format}
          onDone={onClose}
        />
      )}
    </Drawer>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="mt-5 first:mt-0">
      <h3 className="eyebrow mb-1.5">{title}</h3>
      {children}
    </section>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex gap-3 py-0.5">
      <dt className="w-32 shrink-0 text-ink-3">{name}</dt>
      <dd className="min-w-0 flex-1 break-words tabular-nums">{children}</dd>
    </div>
  );
}

function Body({ report }: { report: Report }) {
  const { t, i18n } = useTranslation();
  const number = (n: number) => n.toLocaleString(i18n.language);
  const { cleaning } = report;
  const near = report.near_duplicates ?? [];
  const untouched =
    !cleaning.normalized && !cleaning.dropped && !cleaning.doubtful && !cleaning.private;
  return (
    <div data-testid="report">
      {report.error && <p className="mb-4 rounded-lg bg-marker-wash px-3 py-2">{report.error}</p>}
      {report.duplicate_of && (
        <p className="mb-4 rounded-lg bg-marker-wash px-3 py-2 break-words">
          {t("report.duplicateOf", { path: report.duplicate_of })}
        </p>
      )}
      <Section title={t("report.file")}>
        <dl>
          {report.format && <Row name={t("report.format")}>{report.format}</Row>}
          <Row name={t("report.size")}>{formatBytes(report.bytes, i18n.language)}</Row>
          {report.pages ? <Row name={t("report.pages")}>{number(report.pages)}</Row> : null}
          <Row name={t("report.characters")}>{number(report.characters)}</Row>
          {report.language && (
            <Row name={t("report.language")}>
              {report.language === "zh"
                ? "中文"
                : report.language === "en"
                  ? "English"
                  : report.language}
            </Row>
          )}
          <Row name={t("report.chunks")}>{number(report.chunks)}</Row>
          {report.recognized_pages && (
            <Row name={t("report.recognized")}>
              {t("report.recognizedPages", {
                count: report.recognized_pages.length,
                by: report.recognized_by,
              })}
            </Row>
          )}
          {report.pages_without_text && (
            <Row name={t("report.withoutText")}>
              {t("report.withoutTextPages", {
                count: report.pages_without_text.length,
                total: report.pages ?? 0,
                list: pageRanges(report.pages_without_text),
              })}
            </Row>
          )}
          {report.garbled_pages && (
            <Row name={t("report.garbled")}>
              {t("report.garbledPages", {
                count: report.garbled_pages.length,
                list: pageRanges(report.garbled_pages),
              })}
            </Row>
          )}
          {report.needs_ocr && (
            <Row name={t("report.needsOcr")}>
              {t("report.needsOcrPages", {
                count: report.needs_ocr.length,
                list: pageRanges(report.needs_ocr),
              })}
            </Row>
          )}
          {report.needs_ocr_in?.map(({ name, pages }) => (
            <Row key={name} name={t("report.needsOcr")}>
              {pages ? t("report.needsOcrIn", { name, list: pageRanges(pages) }) : name}
            </Row>
          ))}
        </dl>
      </Section>
      {report.warnings && report.warnings.length > 0 && (
        <Section title={t("report.warnings")}>
          <ul className="list-disc pl-5">
            {report.warnings.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </Section>
      )}
      {near.length > 0 && (
        <Section title={t("report.near")}>
          <ul>
            {near.map((other) => (
              <li key={other.document_id} className="flex gap-3 py-0.5">
                <span className="min-w-0 flex-1 break-words">{other.path}</span>
                <span className="text-ink-3 tabular-nums">
                  {Math.round(100 * other.similarity)} %
                </span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={t("report.cleaning")}>
        {untouched && <p className="text-ink-3">{t("report.untouched")}</p>}
        {cleaning.normalized ? (
          <p>{t("report.normalized", { count: cleaning.normalized })}</p>
        ) : null}
        {cleaning.private && (
          <ul>
            {cleaning.private.map((item) => (
              <li key={item.kind} className="flex gap-3 py-0.5">
                <span className="min-w-0 flex-1">
                  {t(`report.kinds.${item.kind}`)} × {number(item.count)}
                </span>
                <span className="text-ink-3">{t(`report.actions.${item.action}`)}</span>
              </li>
            ))}
          </ul>
        )}
        <Passages title={t("report.dropped")} all={cleaning.dropped} />
        <Passages title={t("report.doubtful")} all={cleaning.doubtful} />
      </Section>
      {report.stages && report.stages.length > 0 && (
        <Section title={t("report.time")}>
          <dl>
            {report.stages.map((stage) => (
              <Row key={stage.stage} name={t(`report.stages.${stage.stage}`, stage.stage)}>
                {t("report.seconds", {
                  seconds: stage.seconds.toLocaleString(i18n.language, {
                    maximumFractionDigits: 2,
                  }),
                })}
              </Row>
            ))}
          </dl>
        </Section>
      )}
    </div>
  );
}

const reasons = {
  gibberish: "report.gibberish",
  noise: "report.noise",
  links: "report.links",
  "repeated line": "report.repeated",
} as const;

function Passages({ title, all }: { title: string; all?: Passage[] }) {
  const { t } = useTranslation();
  if (!all || all.length === 0) return null;
  return (
    <div className="mt-2">
      <p>{title}</p>
      <ul className="mt-1 space-y-1.5">
        {all.map((item, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two passages may be alike, and the list never changes
          <li key={index} className="rounded-lg border px-3 py-1.5 text-sm">
            <span className="text-ink-3">
              {t(reasons[item.reason])}
              {item.page ? ` · ${t("report.page", { page: item.page })}` : ""}
              {item.count && item.count > 1 ? ` · × ${item.count}` : ""}
            </span>
            <span className="block break-words">{item.text}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Has the file read anew; for what may hold pictures, with text recognition of every page. */
function Again({
  collection,
  documentId,
  format,
  onDone,
}: {
  collection: string;
  documentId: string;
  format?: string;
  onDone: () => void;
}) {
  const { t } = useTranslation();
  const [failure, setFailure] = useState<Failure>();
  const [busy, setBusy] = useState(false);

  async function run(ocr: "" | "all") {
    setBusy(true);
    setFailure(undefined);
    try {
      noteJobs(collection, await api.reingest(documentId, ocr));
      onDone();
    } catch (error) {
      setFailure(toFailure(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <div className="mt-6 flex flex-wrap gap-2 border-t pt-4">
      <button type="button" className="button" disabled={busy} onClick={() => run("")}>
        {t("report.again")}
      </button>
      {format === "pdf" && (
        <button type="button" className="button" disabled={busy} onClick={() => run("all")}>
          <ScanText size={16} aria-hidden="true" /> {t("report.ocr")}
        </button>
      )}
      {failure && <FailureNote failure={failure} />}
    </div>
  );
}
