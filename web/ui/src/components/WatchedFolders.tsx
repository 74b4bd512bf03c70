import { FolderSync, X } from "lucide-react";
import { type FormEvent, useEffect, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { keys, queryClient, useWatches } from "../state/queries";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";
import { patternsOf } from "./WebDialog";

/** The folders of the server that are kept in step; nothing where the server offers none. */
export function WatchedFolders({ collection }: { collection: string }) {
  const { t } = useTranslation();
  const { data } = useWatches(collection);
  const [folder, setFolder] = useState("");
  const [include, setInclude] = useState("");
  const [failure, setFailure] = useState<Failure>();
  const id = useId();
  const files = data?.watches.reduce((sum, watch) => sum + watch.files, 0);
  useEffect(() => {
    // Documents of files that are gone go without a job that would tell of it.
    if (files !== undefined) {
      queryClient.invalidateQueries({ queryKey: keys.documents(collection) });
      queryClient.invalidateQueries({ queryKey: keys.collections });
    }
  }, [collection, files]);
  if (!data?.possible) return null;

  const reload = () => queryClient.invalidateQueries({ queryKey: keys.watches(collection) });

  async function add(event: FormEvent) {
    event.preventDefault();
    setFailure(undefined);
    try {
      await api.addWatch(collection, {
        folder: folder.trim(),
        include: patternsOf(include),
        exclude: [],
      });
      setFolder("");
      setInclude("");
    } catch (error) {
      setFailure(toFailure(error));
    }
    await reload();
  }

  async function remove(watch: string) {
    try {
      await api.removeWatch(watch);
    } catch (error) {
      setFailure(toFailure(error));
    }
    await reload();
  }

  return (
    <section aria-label={t("watch.title")} className="mt-8">
      <h2 className="eyebrow">{t("watch.title")}</h2>
      <ul className="divide-y">
        {data.watches.map((watch) => (
          <li key={watch.id} className="flex items-center gap-3 py-3" data-testid="watch">
            <FolderSync size={18} aria-hidden="true" className="shrink-0 text-ink-3" />
            <div className="min-w-0 flex-1">
              <p className="truncate font-medium" title={watch.folder}>
                {watch.folder}
              </p>
              <p className={`text-xs ${watch.error ? "text-danger" : "text-ink-3"}`}>
                {watch.error ||
                  [
                    watch.checked_at
                      ? t("watch.files", { count: watch.files })
                      : t("documents.waiting"),
                    ...(watch.include ?? []),
                  ].join(" · ")}
              </p>
            </div>
            <button
              type="button"
              className="icon-button"
              aria-label={t("watch.stop", { folder: watch.folder })}
              title={t("watch.stop", { folder: watch.folder })}
              onClick={() => remove(watch.id)}
            >
              <X size={17} aria-hidden="true" />
            </button>
          </li>
        ))}
      </ul>
      <form onSubmit={add} className="mt-2 flex flex-wrap items-center gap-2">
        <label htmlFor={`${id}-folder`} className="sr-only">
          {t("watch.folder")}
        </label>
        <input
          id={`${id}-folder`}
          className="field min-w-48 flex-1"
          placeholder={t("watch.folder")}
          autoComplete="off"
          spellCheck={false}
          value={folder}
          onChange={(event) => setFolder(event.target.value)}
        />
        <label htmlFor={`${id}-include`} className="sr-only">
          {t("web.include")}
        </label>
        <input
          id={`${id}-include`}
          className="field w-36"
          placeholder="*.pdf, *.md"
          autoComplete="off"
          spellCheck={false}
          value={include}
          onChange={(event) => setInclude(event.target.value)}
        />
        <button type="submit" className="button" disabled={folder.trim() === ""}>
          {t("watch.add")}
        </button>
      </form>
      {failure && (
        <div className="mt-2">
          <FailureNote failure={failure} />
        </div>
      )}
    </section>
  );
}
