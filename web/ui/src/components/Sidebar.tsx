import { FolderOpen, PanelLeftClose, Plus, SquarePen, Trash2 } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import { api } from "../lib/api";
import { forgetDraft } from "../state/chats";
import { usePreferences } from "../state/preferences";
import { keys, queryClient, useCollections } from "../state/queries";
import type { Collection } from "../types/api";
import { ConversationList } from "./ConversationList";
import { CreateCollection } from "./CreateCollection";
import { Confirm } from "./Modal";
import { SettingsMenu } from "./SettingsMenu";
import { Wordmark } from "./Wordmark";

interface Props {
  collection: string;
  /** Called after something was chosen: the drawer of a phone closes. */
  onChoose?: () => void;
  onCollapse?: () => void;
}

export function Sidebar({ collection, onChoose, onCollapse }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { data: collections } = useCollections();
  const [creating, setCreating] = useState(false);
  return (
    <div className="flex h-full flex-col bg-side">
      <div className="flex h-14 items-center justify-between pr-2 pl-4">
        <Link to="/" onClick={onChoose} aria-label="docent" className="rounded">
          <Wordmark />
        </Link>
        {onCollapse && (
          <button
            type="button"
            className="icon-button"
            onClick={onCollapse}
            aria-label={t("app.collapse")}
            title={t("app.collapse")}
          >
            <PanelLeftClose size={18} aria-hidden="true" />
          </button>
        )}
      </div>
      {collection && (
        <div className="px-3 pb-3">
          <Link
            to={`/c/${encodeURIComponent(collection)}`}
            onClick={() => {
              forgetDraft(collection);
              onChoose?.();
            }}
            className="button w-full !justify-start"
          >
            <SquarePen size={16} aria-hidden="true" />
            {t("app.newChat")}
          </Link>
        </div>
      )}
      <nav className="min-h-0 flex-1 overflow-y-auto px-3 pb-4">
        <section aria-label={t("collections.title")}>
          <div className="flex items-center justify-between pl-2">
            <h2 className="eyebrow">{t("collections.title")}</h2>
            <button
              type="button"
              className="icon-button"
              aria-label={t("collections.create")}
              title={t("collections.create")}
              aria-expanded={creating}
              onClick={() => setCreating(!creating)}
            >
              <Plus size={17} aria-hidden="true" />
            </button>
          </div>
          {creating && (
            <CreateCollection
              onCancel={() => setCreating(false)}
              onCreated={(name) => {
                setCreating(false);
                onChoose?.();
                navigate(`/c/${encodeURIComponent(name)}/documents`);
              }}
            />
          )}
          <ul className="space-y-px">
            {collections?.map((item) => (
              <CollectionItem
                key={item.name}
                item={item}
                current={item.name === collection}
                onChoose={onChoose}
              />
            ))}
          </ul>
        </section>
        <ConversationList onChoose={onChoose} showCollection={(collections?.length ?? 0) > 1} />
      </nav>
      <div className="flex items-center justify-between border-t px-3 py-2">
        <SettingsMenu />
        <span className="pr-1 text-xs text-ink-3">{t("app.tagline")}</span>
      </div>
    </div>
  );
}

interface ItemProps {
  item: Collection;
  current: boolean;
  onChoose?: () => void;
}

function CollectionItem({ item, current, onChoose }: ItemProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [deleting, setDeleting] = useState(false);
  const base = `/c/${encodeURIComponent(item.name)}`;
  const note = item.indexing
    ? t("collections.indexing", { ...item.indexing })
    : item.documents > 0
      ? t("collections.documents", { count: item.documents })
      : t("collections.empty");
  return (
    <li
      className={`group flex items-center rounded-lg ${current ? "bg-card shadow-[0_0_0_1px_var(--line)]" : "hover:bg-ink/5"}`}
    >
      <Link
        to={base}
        onClick={onChoose}
        aria-current={current ? "true" : undefined}
        aria-label={t("collections.switch", { name: item.name })}
        className="min-w-0 flex-1 rounded-lg py-1.5 pl-2.5"
      >
        <span className="block truncate leading-snug font-medium">{item.name}</span>
        <span
          className={`block truncate text-xs text-ink-3 ${item.indexing ? "w-fit working" : ""}`}
        >
          {note}
        </span>
      </Link>
      <button
        type="button"
        className="icon-button opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 pointer-coarse:opacity-100"
        aria-label={`${t("collections.delete")}: ${item.name}`}
        title={t("collections.delete")}
        onClick={() => setDeleting(true)}
      >
        <Trash2 size={16} aria-hidden="true" />
      </button>
      <Link
        to={`${base}/documents`}
        onClick={onChoose}
        className="icon-button"
        aria-label={`${t("documents.title")}: ${item.name}`}
        title={t("documents.title")}
      >
        <FolderOpen size={17} aria-hidden="true" />
      </Link>
      <Confirm
        open={deleting}
        onOpenChange={setDeleting}
        title={t("collections.deleteTitle", { name: item.name })}
        description={t("collections.deleteHint")}
        action={t("app.delete")}
        onConfirm={async () => {
          await api.deleteCollection(item.name);
          const preferences = usePreferences.getState();
          if (preferences.lastCollection === item.name) preferences.setLastCollection(null);
          await queryClient.invalidateQueries({ queryKey: keys.collections });
          if (current) navigate("/");
        }}
      />
    </li>
  );
}
