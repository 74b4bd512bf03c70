import { MessageCircle, Settings2 } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { toFailure } from "../lib/api";
import { usePreferences } from "../state/preferences";
import { useCollections, useDocuments } from "../state/queries";
import { AddBox } from "./AddBox";
import { DocumentRow } from "./DocumentRow";
import { FailureNote } from "./FailureNote";
import { JobQueue } from "./JobQueue";
import { NotFound } from "./NotFound";
import { SettingsDrawer } from "./SettingsDrawer";
import { WatchedFolders } from "./WatchedFolders";

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
        <JobQueue collection={collection} />
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
