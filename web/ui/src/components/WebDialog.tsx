import { type FormEvent, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { withScheme } from "../lib/place";
import { noteJobs } from "../state/queries";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";
import { Modal } from "./Modal";

interface Props {
  collection: string;
  address: string;
  onClose: (added: boolean) => void;
}

/** The patterns of a field, one or several with commas between. */
export function patternsOf(text: string): string[] {
  return text
    .split(",")
    .map((pattern) => pattern.trim())
    .filter(Boolean);
}

/** Asks how far to go through a site. */
export function WebDialog({ collection, address, onClose }: Props) {
  const { t } = useTranslation();
  const [url, setUrl] = useState(address);
  const [depth, setDepth] = useState(2);
  const [pages, setPages] = useState(200);
  const [include, setInclude] = useState("");
  const [exclude, setExclude] = useState("");
  const [failure, setFailure] = useState<Failure>();
  const [busy, setBusy] = useState(false);
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setFailure(undefined);
    try {
      const site = {
        url: withScheme(url),
        depth,
        pages,
        include: patternsOf(include),
        exclude: patternsOf(exclude),
      };
      noteJobs(collection, await api.addSite(collection, site));
      onClose(true);
    } catch (error) {
      setFailure(toFailure(error));
      setBusy(false);
    }
  }

  return (
    <Modal
      open
      onOpenChange={(open) => open || onClose(false)}
      title={t("web.title")}
      description={t("web.hint")}
    >
      <form onSubmit={submit} className="mt-4 grid gap-3 text-sm">
        <label className="grid gap-1" htmlFor={`${id}-url`}>
          {t("documents.urlLabel")}
          <input
            id={`${id}-url`}
            className="field"
            inputMode="url"
            autoComplete="off"
            spellCheck={false}
            placeholder={t("documents.urlPlaceholder")}
            value={url}
            onChange={(event) => setUrl(event.target.value)}
          />
        </label>
        <div className="grid grid-cols-2 gap-3">
          <label className="grid gap-1" htmlFor={`${id}-depth`}>
            {t("web.depth")}
            <input
              id={`${id}-depth`}
              className="field"
              type="number"
              min={1}
              max={50}
              value={depth}
              onChange={(event) => setDepth(Number(event.target.value))}
            />
          </label>
          <label className="grid gap-1" htmlFor={`${id}-pages`}>
            {t("web.pages")}
            <input
              id={`${id}-pages`}
              className="field"
              type="number"
              min={1}
              max={100000}
              value={pages}
              onChange={(event) => setPages(Number(event.target.value))}
            />
          </label>
        </div>
        <label className="grid gap-1" htmlFor={`${id}-include`}>
          {t("web.include")}
          <input
            id={`${id}-include`}
            className="field"
            placeholder="/docs/**"
            value={include}
            onChange={(event) => setInclude(event.target.value)}
          />
        </label>
        <label className="grid gap-1" htmlFor={`${id}-exclude`}>
          {t("web.exclude")}
          <input
            id={`${id}-exclude`}
            className="field"
            placeholder="/blog/**, *.zip"
            value={exclude}
            onChange={(event) => setExclude(event.target.value)}
          />
        </label>
        {failure && <FailureNote failure={failure} />}
        <div className="mt-1 flex justify-end gap-2">
          <button type="button" className="button" onClick={() => onClose(false)}>
            {t("app.cancel")}
          </button>
          <button type="submit" className="button primary" disabled={busy || url.trim() === ""}>
            {t("web.crawl")}
          </button>
        </div>
      </form>
    </Modal>
  );
}
