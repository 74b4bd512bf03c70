import { ArrowDown, FolderOpen } from "lucide-react";
import { type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { type Filter, toFilter } from "../lib/filter";
import { pickQuestions } from "../lib/format";
import { batchOf } from "../lib/jobs";
import { readStoredList } from "../lib/storage";
import type { Turn } from "../lib/turns";
import {
  askQuestion,
  draftKey,
  isRunning,
  openThread,
  stop,
  type Thread,
  useChats,
} from "../state/chats";
import { choiceOf } from "../state/filters";
import { usePreferences } from "../state/preferences";
import { useCollections, useJobs } from "../state/queries";
import { type Ask, Composer } from "./Composer";
import { FailureNote } from "./FailureNote";
import { NotFound } from "./NotFound";
import { TurnView } from "./TurnView";
import { useViewer } from "./useViewer";

/** A new conversation in a collection. */
export function NewChatPage() {
  const { collection = "" } = useParams();
  const { data: collections } = useCollections();
  const thread = useChats((state) => state.threads[draftKey(collection)]);
  const setLast = usePreferences((state) => state.setLastCollection);
  const exists = collections?.some((item) => item.name === collection);
  useEffect(() => {
    if (exists) setLast(collection);
  }, [exists, collection, setLast]);
  if (collections && !exists) return <NotFound />;
  return (
    <Chat
      key={collection}
      id={draftKey(collection)}
      collection={collection}
      thread={thread}
      fresh
    />
  );
}

/** A conversation that has an id. */
export function ChatPage() {
  const { id = "" } = useParams();
  const { t } = useTranslation();
  const thread = useChats((state) => state.threads[id]);
  const failure = useChats((state) => state.failures[id]);
  useEffect(() => {
    openThread(id);
  }, [id]);
  if (!thread && failure?.code === "not_found") return <NotFound />;
  if (!thread && failure) {
    return (
      <div className="mx-auto w-full max-w-2xl p-6">
        <FailureNote failure={failure}>
          <button type="button" className="button" onClick={() => openThread(id)}>
            {t("app.retry")}
          </button>
        </FailureNote>
      </div>
    );
  }
  if (!thread) return <p className="p-8 text-center text-ink-3">{t("app.loading")}</p>;
  return <Chat key={id} id={id} collection={thread.collection} thread={thread} />;
}

interface ChatProps {
  id: string;
  collection: string;
  thread?: Thread;
  fresh?: boolean;
}

function Chat({ id, collection, thread, fresh = false }: ChatProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { data: collections } = useCollections();
  const gone = collections !== undefined && !collections.some((item) => item.name === collection);
  const turns = thread?.turns ?? [];
  const answering = isRunning(thread);
  const { scroller, content, atEnd, toEnd } = useStickToEnd(turns.length > 0);
  const { place } = useViewer();

  const send = useCallback(
    ({ question, style, agent }: Ask, again?: { instead?: string; where?: Filter }) => {
      toEnd();
      askQuestion({
        collection,
        question,
        conversation: fresh ? undefined : id,
        style,
        agent,
        where: again ? again.where : toFilter(choiceOf(collection)),
        instead: again?.instead,
        onStarted: (started) => {
          // Only if its reader still waits here; an answer must not pull anybody back.
          if (location.pathname === `/c/${encodeURIComponent(collection)}`) {
            navigate(`/chat/${encodeURIComponent(started)}`, { replace: true });
          }
        },
      });
    },
    [collection, fresh, id, navigate, toEnd],
  );

  const again = useCallback(
    (turn: Turn) => {
      const preferences = usePreferences.getState();
      const lost = turn.phase === "failed" && turn.key.startsWith("live-") && !turn.started;
      send(
        {
          question: turn.question,
          style: turn.style ?? preferences.style,
          agent: turn.agent ?? preferences.agent,
        },
        { instead: lost ? turn.key : undefined, where: turn.where },
      );
    },
    [send],
  );

  function suggest(question: string) {
    const { style, agent } = usePreferences.getState();
    send({ question, style, agent });
  }

  // Escape stops an answer, unless there is something on top that it closes first.
  useEffect(() => {
    if (!answering) return;
    function onKey(event: KeyboardEvent) {
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || place) return;
      if (document.querySelector("[role=dialog], [role=menu]")) return;
      stop(id);
    }
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [answering, id, place]);

  useEffect(() => {
    document.title = thread?.title ? `${thread.title} · docent` : `${collection} · docent`;
    return () => {
      document.title = "docent";
    };
  }, [thread?.title, collection]);

  const composer = (
    <>
      <IndexingBanner collection={gone ? "" : collection} />
      {gone ? (
        <p className="rounded-xl bg-tint px-4 py-3 text-sm text-ink-2">
          {t("chat.deletedCollection", { name: collection })}
        </p>
      ) : (
        <Composer
          collection={collection}
          answering={answering}
          onAsk={(asked) => send(asked)}
          onStop={() => stop(id)}
        />
      )}
    </>
  );

  return (
    <div className="relative flex min-h-0 flex-1 flex-col">
      <Announcer turns={turns} />
      {turns.length === 0 ? (
        <Start collection={collection} onAsk={suggest}>
          {composer}
        </Start>
      ) : (
        <>
          <h1 className="sr-only">{t("chat.title")}</h1>
          <div ref={scroller} className="min-h-0 flex-1 overflow-y-auto overscroll-contain">
            <div
              ref={content}
              className="mx-auto w-full max-w-[46rem] divide-y px-4 pt-4 pb-10 sm:px-8"
            >
              {turns.map((turn) => (
                <TurnView
                  key={turn.key}
                  turn={turn}
                  last={turn === turns[turns.length - 1]}
                  answering={answering}
                  onAgain={again}
                />
              ))}
            </div>
          </div>
          <div className="relative mx-auto w-full max-w-[46rem] px-3 pb-[max(0.75rem,env(safe-area-inset-bottom))] sm:px-8">
            {!atEnd && (
              <button
                type="button"
                onClick={toEnd}
                className="button absolute -top-12 left-1/2 -translate-x-1/2 !rounded-full shadow-float"
              >
                <ArrowDown size={15} aria-hidden="true" /> {t("chat.jump")}
              </button>
            )}
            {composer}
          </div>
        </>
      )}
    </div>
  );
}

/** Tells a screen reader that an answer began and that it is there; not every word of it. */
function Announcer({ turns }: { turns: readonly Turn[] }) {
  const { t } = useTranslation();
  const last = turns[turns.length - 1];
  const seen = useRef(false);
  if (last?.phase === "streaming") seen.current = true;
  let text = "";
  if (last?.phase === "streaming") text = t("chat.answering");
  else if (seen.current && last?.phase === "done") text = t("chat.answerReady");
  else if (seen.current && last?.phase === "stopped") text = t("chat.stopped");
  return (
    <p className="sr-only" role="status" aria-live="polite">
      {text}
    </p>
  );
}

interface StartProps {
  collection: string;
  onAsk: (question: string) => void;
  /** The composer. */
  children: ReactNode;
}

function Start({ collection, onAsk, children }: StartProps) {
  const { t, i18n } = useTranslation();
  const { data: collections } = useCollections();
  const jobs = useJobs(collection);
  const item = collections?.find((candidate) => candidate.name === collection);
  const base = `/c/${encodeURIComponent(collection)}`;
  const stored = readStoredList(`questions.${collection}`);
  const questions = pickQuestions(stored, i18n.language.startsWith("zh"), 4);
  const empty = item !== undefined && item.documents === 0 && batchOf(jobs) === undefined;
  return (
    <div className="grid min-h-0 flex-1 place-items-center overflow-y-auto px-3 sm:px-8">
      <div className="w-full max-w-[42rem] py-8">
        <div className="px-1">
          <h1 className="font-serif text-[1.9rem] leading-tight font-bold sm:text-[2.3rem]">
            {t("chat.askTitle")}
          </h1>
          <p className="mt-2 text-ink-2">
            {empty
              ? t("chat.noDocuments")
              : item &&
                t("chat.askIn", {
                  documents: t("collections.documents", { count: item.documents }),
                  collection,
                })}
          </p>
        </div>
        {empty ? (
          <Link to={`${base}/documents`} className="button primary mt-5">
            <FolderOpen size={16} aria-hidden="true" /> {t("chat.addDocuments")}
          </Link>
        ) : (
          <div className="mt-6">{children}</div>
        )}
        {questions.length > 0 && !empty && (
          <div className="mt-8 px-1">
            <h2 className="eyebrow">{t("chat.suggestions")}</h2>
            <ul className="mt-1 divide-y border-y">
              {questions.map((question) => (
                <li key={question}>
                  <button
                    type="button"
                    className="group w-full py-2.5 text-left font-serif text-[1.05rem] leading-snug"
                    onClick={() => onAsk(question)}
                  >
                    <span className="bg-linear-to-r from-marker to-marker bg-[length:0%_100%] bg-no-repeat transition-[background-size] duration-300 group-hover:bg-[length:100%_100%] group-hover:text-marker-ink">
                      {question}
                    </span>
                  </button>
                </li>
              ))}
            </ul>
          </div>
        )}
      </div>
    </div>
  );
}

function IndexingBanner({ collection }: { collection: string }) {
  const { t } = useTranslation();
  const jobs = useJobs(collection);
  const { data: collections } = useCollections();
  const batch =
    batchOf(jobs) ??
    (jobs.length === 0
      ? collections?.find((item) => item.name === collection)?.indexing
      : undefined);
  return (
    <div role="status">
      {batch && (
        <Link
          to={`/c/${encodeURIComponent(collection)}/documents`}
          className="mx-1 mb-2 block w-fit rounded px-1.5 py-0.5 text-sm text-ink-2 working"
        >
          {t("chat.indexing", { ...batch })}
        </Link>
      )}
    </div>
  );
}

/** Follows the end of what grows, until its reader scrolls away from it. */
function useStickToEnd(shown: boolean) {
  const scroller = useRef<HTMLDivElement | null>(null);
  const content = useRef<HTMLDivElement | null>(null);
  const [atEnd, setAtEnd] = useState(true);
  const sticks = useRef(true);

  const toEnd = useCallback(() => {
    sticks.current = true;
    setAtEnd(true);
    requestAnimationFrame(() => {
      scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
    });
  }, []);

  useLayoutEffect(() => {
    // The list appears only with the first turn.
    if (!shown) return;
    const box = scroller.current;
    const inner = content.current;
    if (!box || !inner) return;
    if (sticks.current) box.scrollTop = box.scrollHeight;
    let last = box.scrollTop;
    function onScroll() {
      if (!box) return;
      const near = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
      // Content that grows also fires scroll events: only moving up lets go.
      if (near) sticks.current = true;
      else if (box.scrollTop < last - 2) sticks.current = false;
      last = box.scrollTop;
      setAtEnd(near || sticks.current);
    }
    const observer = new ResizeObserver(() => {
      if (sticks.current) box.scrollTop = box.scrollHeight;
    });
    observer.observe(inner);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, [shown]);

  return { scroller, content, atEnd, toEnd };
}
