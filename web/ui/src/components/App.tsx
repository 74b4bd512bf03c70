import { Menu, PanelLeftOpen } from "lucide-react";
import { Dialog } from "radix-ui";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Navigate, Route, Routes, useMatch } from "react-router";
import { toFailure } from "../lib/api";
import { useChats } from "../state/chats";
import { usePreferences } from "../state/preferences";
import { useCollections, useJobStream } from "../state/queries";
import { ChatPage, NewChatPage } from "./ChatPage";
import { ConnectionBanner } from "./ConnectionBanner";
import { DropTarget } from "./DropTarget";
import { FailureNote } from "./FailureNote";
import { NotFound } from "./NotFound";
import { Sidebar } from "./Sidebar";
import { SidePanel } from "./SidePanel";
import { useMedia } from "./useMedia";
import { useViewer } from "./useViewer";
import { Welcome } from "./Welcome";
import { Wordmark } from "./Wordmark";

const DocumentsPage = lazy(() =>
  import("./DocumentsPage").then((m) => ({ default: m.DocumentsPage })),
);
const Viewer = lazy(() => import("./Viewer"));

/** The collection that the address points at, "" if none. */
function useCurrentCollection(): string {
  const named = useMatch("/c/:collection/*")?.params.collection;
  const chat = useMatch("/chat/:id")?.params.id;
  const ofChat = useChats((state) => (chat ? state.threads[chat]?.collection : undefined));
  const { data: collections } = useCollections();
  const name = named ?? ofChat ?? "";
  return collections?.some((item) => item.name === name) ? name : "";
}

export function App() {
  const { t } = useTranslation();
  const collection = useCurrentCollection();
  const sidebar = usePreferences((state) => state.sidebar);
  const setSidebar = usePreferences((state) => state.setSidebar);
  const [drawer, setDrawer] = useState(false);
  const wide = useMedia("(min-width: 768px)");
  useJobStream(collection);

  return (
    <div className="flex h-full flex-col">
      <a
        href="#main"
        className="sr-only z-80 rounded-lg bg-card px-4 py-2 focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        {t("app.skip")}
      </a>
      <ConnectionBanner />
      <div className="flex min-h-0 flex-1">
        {wide && sidebar && (
          <aside className="w-[17rem] shrink-0 border-r">
            <Sidebar collection={collection} onCollapse={() => setSidebar(false)} />
          </aside>
        )}
        <main id="main" className="relative flex min-w-0 flex-1 flex-col">
          {wide && !sidebar && (
            <button
              type="button"
              className="icon-button absolute top-3 left-3 z-10"
              onClick={() => setSidebar(true)}
              aria-label={t("app.expand")}
              title={t("app.expand")}
            >
              <PanelLeftOpen size={18} aria-hidden="true" />
            </button>
          )}
          {!wide && (
            <header className="flex h-13 shrink-0 items-center gap-2 border-b px-2">
              <button
                type="button"
                className="icon-button"
                onClick={() => setDrawer(true)}
                aria-label={t("app.menu")}
              >
                <Menu size={20} aria-hidden="true" />
              </button>
              <Wordmark />
              {collection && (
                <span className="ml-auto truncate pr-2 text-sm text-ink-3">{collection}</span>
              )}
            </header>
          )}
          <Suspense fallback={<p className="p-8 text-center text-ink-3">{t("app.loading")}</p>}>
            <Routes>
              <Route path="/" element={<Home />} />
              <Route path="/c/:collection" element={<NewChatPage />} />
              <Route path="/c/:collection/documents" element={<DocumentsPage />} />
              <Route path="/chat/:id" element={<ChatPage />} />
              <Route path="*" element={<NotFound />} />
            </Routes>
          </Suspense>
        </main>
        <ViewerPanel />
      </div>
      {!wide && (
        <Dialog.Root open={drawer} onOpenChange={setDrawer}>
          <Dialog.Portal>
            <Dialog.Overlay className="fixed inset-0 z-40 animate-fade bg-shade" />
            <Dialog.Content
              aria-describedby={undefined}
              className="fixed inset-y-0 left-0 z-40 w-[min(19rem,86vw)] animate-slide-left border-r shadow-float"
            >
              <Dialog.Title className="sr-only">{t("app.menu")}</Dialog.Title>
              <Sidebar
                collection={collection}
                onChoose={() => setDrawer(false)}
                onCollapse={() => setDrawer(false)}
              />
            </Dialog.Content>
          </Dialog.Portal>
        </Dialog.Root>
      )}
      <DropTarget collection={collection} />
    </div>
  );
}

/** The start: the collection used last, or the first visit. */
function Home() {
  const { t } = useTranslation();
  const { data: collections, error, refetch } = useCollections();
  const last = usePreferences((state) => state.lastCollection);
  const welcomed = useRef(false);
  if (error && !collections) {
    return (
      <div className="mx-auto w-full max-w-xl p-6">
        <FailureNote failure={toFailure(error)}>
          <button type="button" className="button" onClick={() => refetch()}>
            {t("app.retry")}
          </button>
        </FailureNote>
      </div>
    );
  }
  if (!collections) return <p className="p-8 text-center text-ink-3">{t("app.loading")}</p>;
  const target = collections.find((item) => item.name === last) ?? collections[0];
  // The welcome decides itself where its first collection leads.
  if (!target) welcomed.current = true;
  if (target && !welcomed.current)
    return <Navigate to={`/c/${encodeURIComponent(target.name)}`} replace />;
  return <Welcome />;
}

function ViewerPanel() {
  const { t } = useTranslation();
  const { place, quoted, close } = useViewer();
  const beside = useMedia("(min-width: 1024px)");
  const open = place !== undefined;

  useEffect(() => {
    if (!open || !beside) return;
    function onKey(event: KeyboardEvent) {
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
      if (document.querySelector("[role=dialog], [role=menu]")) return;
      event.preventDefault();
      close();
    }
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [open, beside, close]);

  if (!place) return null;
  const viewer = (
    <Suspense fallback={<p className="p-6 text-ink-3">{t("app.loading")}</p>}>
      <Viewer place={place} quoted={quoted} onClose={close} />
    </Suspense>
  );
  if (beside) return <SidePanel label={t("viewer.title")}>{viewer}</SidePanel>;
  return (
    <Dialog.Root open onOpenChange={close}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 animate-fade bg-shade" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed inset-x-0 top-6 bottom-0 z-40 animate-slide-up overflow-hidden rounded-t-2xl border-t bg-card shadow-float"
          onOpenAutoFocus={(event) => event.preventDefault()}
        >
          <Dialog.Title className="sr-only">{t("viewer.title")}</Dialog.Title>
          {viewer}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
