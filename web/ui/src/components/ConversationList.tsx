import { Ellipsis, Pencil, Trash2 } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { type FormEvent, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useMatch, useNavigate } from "react-router";
import { api, toFailure } from "../lib/api";
import { type Period, periodOf } from "../lib/format";
import { forgetThread, isRunning, useChats } from "../state/chats";
import { keys, queryClient, useConversations } from "../state/queries";
import type { Conversation } from "../types/api";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";
import { Confirm, Modal } from "./Modal";

const periods: Period[] = ["today", "yesterday", "week", "older"];

interface Props {
  onChoose?: () => void;
  showCollection: boolean;
}

export function ConversationList({ onChoose, showCollection }: Props) {
  const { t } = useTranslation();
  const { data, hasNextPage, fetchNextPage, isFetchingNextPage } = useConversations();
  const conversations = data?.pages.flat() ?? [];
  return (
    <section aria-label={t("conversations.title")} className="mt-6">
      {data && conversations.length === 0 && (
        <>
          <h2 className="eyebrow pl-2">{t("conversations.title")}</h2>
          <p className="px-2 py-1 text-sm text-ink-3">{t("conversations.empty")}</p>
        </>
      )}
      {periods.map((period) => {
        const group = conversations.filter((item) => periodOf(item.updated_at) === period);
        if (group.length === 0) return null;
        return (
          <div key={period} className="mb-4">
            <h2 className="eyebrow mb-1 pl-2">{t(`conversations.${period}`)}</h2>
            <ul className="space-y-px">
              {group.map((item) => (
                <ConversationItem
                  key={item.id}
                  item={item}
                  onChoose={onChoose}
                  showCollection={showCollection}
                />
              ))}
            </ul>
          </div>
        );
      })}
      {hasNextPage && (
        <button
          type="button"
          className="button w-full"
          disabled={isFetchingNextPage}
          onClick={() => fetchNextPage()}
        >
          {t("conversations.more")}
        </button>
      )}
    </section>
  );
}

interface ItemProps {
  item: Conversation;
  onChoose?: () => void;
  showCollection: boolean;
}

function ConversationItem({ item, onChoose, showCollection }: ItemProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const path = `/chat/${encodeURIComponent(item.id)}`;
  const current = useMatch("/chat/:id")?.params.id === item.id;
  const answering = useChats((state) => isRunning(state.threads[item.id]));
  const [dialog, setDialog] = useState<"rename" | "delete">();
  const title = item.title || t("conversations.untitled");
  return (
    <li
      className={`group flex items-center rounded-lg ${current ? "bg-card shadow-[0_0_0_1px_var(--line)]" : "hover:bg-ink/5"}`}
    >
      <Link
        to={path}
        onClick={onChoose}
        aria-current={current ? "page" : undefined}
        className="min-w-0 flex-1 rounded-lg py-1.5 pl-2.5"
      >
        <span
          className={`block truncate text-[0.875rem] leading-snug ${answering ? "working" : ""}`}
        >
          {title}
        </span>
        {showCollection && (
          <span className="block truncate text-xs text-ink-3">{item.collection}</span>
        )}
      </Link>
      <DropdownMenu.Root>
        <DropdownMenu.Trigger
          className="icon-button opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 data-[state=open]:opacity-100 pointer-coarse:opacity-100"
          aria-label={t("conversations.actions", { title })}
        >
          <Ellipsis size={17} aria-hidden="true" />
        </DropdownMenu.Trigger>
        <DropdownMenu.Portal>
          <DropdownMenu.Content className="menu animate-rise" align="end">
            <DropdownMenu.Item className="menu-item" onSelect={() => setDialog("rename")}>
              <Pencil size={16} aria-hidden="true" /> {t("conversations.rename")}
            </DropdownMenu.Item>
            <DropdownMenu.Item className="menu-item danger" onSelect={() => setDialog("delete")}>
              <Trash2 size={16} aria-hidden="true" /> {t("conversations.delete")}
            </DropdownMenu.Item>
          </DropdownMenu.Content>
        </DropdownMenu.Portal>
      </DropdownMenu.Root>
      {dialog === "rename" && <RenameDialog item={item} onClose={() => setDialog(undefined)} />}
      <Confirm
        open={dialog === "delete"}
        onOpenChange={(open) => setDialog(open ? "delete" : undefined)}
        title={t("conversations.deleteTitle")}
        description={t("conversations.deleteHint", { title })}
        action={t("app.delete")}
        onConfirm={async () => {
          await api.deleteConversation(item.id);
          forgetThread(item.id);
          if (current) navigate(`/c/${encodeURIComponent(item.collection)}`);
          await queryClient.invalidateQueries({ queryKey: keys.conversations });
        }}
      />
    </li>
  );
}

function RenameDialog({ item, onClose }: { item: Conversation; onClose: () => void }) {
  const { t } = useTranslation();
  const [title, setTitle] = useState(item.title);
  const [failure, setFailure] = useState<Failure>();
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (title.trim() === "") return;
    try {
      await api.renameConversation(item.id, title.trim());
      await queryClient.invalidateQueries({ queryKey: keys.conversations });
      onClose();
    } catch (error) {
      setFailure(toFailure(error));
    }
  }

  return (
    <Modal open onOpenChange={onClose} title={t("conversations.renameTitle")}>
      <form onSubmit={submit} className="mt-3">
        <label htmlFor={id} className="sr-only">
          {t("conversations.titleLabel")}
        </label>
        <input
          id={id}
          className="field"
          value={title}
          maxLength={200}
          autoComplete="off"
          onChange={(event) => setTitle(event.target.value)}
        />
        {failure && (
          <div className="mt-3">
            <FailureNote failure={failure} />
          </div>
        )}
        <div className="mt-4 flex justify-end gap-2">
          <button type="button" className="button" onClick={onClose}>
            {t("app.cancel")}
          </button>
          <button type="submit" className="button primary" disabled={title.trim() === ""}>
            {t("app.save")}
          </button>
        </div>
      </form>
    </Modal>
  );
}
