import { FolderUp, Globe } from "lucide-react";
import { type FormEvent, useId, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { withScheme } from "../lib/place";
import { fromInput } from "../lib/uploads";
import { noteJobs, useDocuments, useInfo } from "../state/queries";
import { enqueueUploads } from "../state/uploads";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";
import { WebDialog } from "./WebDialog";

/** Where files, folders and addresses are added. */
export function AddBox({ collection }: { collection: string }) {
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
