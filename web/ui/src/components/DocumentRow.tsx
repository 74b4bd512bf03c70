import { ClipboardList, Download, FileText, Trash2, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../lib/api";
import { baseName, formatBytes } from "../lib/format";
import { keys, queryClient } from "../state/queries";
import type { DocumentInfo } from "../types/api";
import { Confirm } from "./Modal";
import { PartialNote } from "./PartialNote";
import { ReportDrawer } from "./ReportDrawer";
import { useViewer } from "./useViewer";

/** A document of the collection, and what can be done with it. */
export function DocumentRow({ item }: { item: DocumentInfo }) {
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
      {(item.metadata?.needs_ocr || item.metadata?.needs_ocr_in) && (
        <PartialNote item={item} name={name} />
      )}
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
