import { ScanText } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { countPages } from "../lib/pages";
import { noteJobs, useInfo } from "../state/queries";
import type { DocumentInfo } from "../types/api";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";

/** Says what of a document has no text, and has it recognised where something can. */
export function PartialNote({ item, name }: { item: DocumentInfo; name: string }) {
  const { t } = useTranslation();
  const { data: info } = useInfo();
  const [failure, setFailure] = useState<Failure>();
  const [busy, setBusy] = useState(false);
  // Of an archive or a message: the files in it.
  const files = item.metadata?.needs_ocr_in;

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
      <span className="min-w-0 break-words text-ink-2">
        {files
          ? t("documents.missingTextIn", { files })
          : t("documents.missingText", {
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
