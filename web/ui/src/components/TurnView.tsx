import { Check, ChevronRight, Copy, Info, ListFilter, RotateCcw, SearchX } from "lucide-react";
import { lazy, memo, type ReactNode, Suspense, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { joinLooseRows } from "../lib/looseRows";
import { completeMarkdown } from "../lib/partialMarkdown";
import { fromCitation, fromPassage, type Source } from "../lib/place";
import { reasoningOf, type Step, type ToolStep, type Turn } from "../lib/turns";
import type { Passage } from "../types/events";
import { SourcesContext, usePlaceText } from "./CitationChip";
import { FailureNote } from "./FailureNote";
import { useViewer } from "./useViewer";

const loadMarkdown = () => import("./Markdown");
const Markdown = lazy(loadMarkdown);
// Ready before the first answer is.
setTimeout(loadMarkdown, 500);

interface Props {
  turn: Turn;
  last: boolean;
  answering: boolean;
  onAgain: (turn: Turn) => void;
}

/** A question and its answer. */
export const TurnView = memo(function TurnView({ turn, last, answering, onAgain }: Props) {
  const { t } = useTranslation();
  const { answer, phase } = turn;
  const sources = useMemo(() => {
    const map = new Map<number, Source>();
    if (answer)
      for (const citation of answer.citations ?? []) map.set(citation.n, fromCitation(citation));
    else for (const passage of turn.passages) map.set(passage.n, fromPassage(passage));
    return map;
  }, [answer, turn.passages]);
  const text = joinLooseRows(phase === "streaming" ? completeMarkdown(turn.text) : turn.text);
  const reasoning = reasoningOf(turn);
  const tools = turn.steps.filter((step) => step.kind === "tool");
  const long = turn.question.length > 160;

  return (
    <article className="py-7 first:pt-4" data-phase={phase}>
      {turn.question && (
        <h2
          className={`mb-4 border-l-3 border-accent pl-4 font-serif font-semibold whitespace-pre-wrap ${long ? "text-[1.05rem] leading-relaxed" : "text-[1.35rem] leading-snug"}`}
        >
          {turn.question}
        </h2>
      )}
      {turn.where && (
        <p className="mb-3 flex items-center gap-1.5 text-xs text-ink-3" data-testid="narrowed">
          <ListFilter size={14} aria-hidden="true" />
          {t("filter.narrowed")}
        </p>
      )}
      <div className="min-h-8 space-y-4">
        {tools.length > 0 ? (
          <Steps steps={turn.steps} open={phase === "streaming" && turn.text === ""} />
        ) : (
          reasoning && (
            <Fold label={t("chat.reasoning")} open={phase === "streaming" && turn.text === ""}>
              <div className="text-sm leading-relaxed whitespace-pre-wrap text-ink-2">
                {reasoning}
              </div>
            </Fold>
          )
        )}
        {answer?.declined && (
          <p className="flex items-center gap-2 text-sm font-semibold text-ink-2">
            <SearchX size={17} aria-hidden="true" />
            {t("chat.declined")}
          </p>
        )}
        {text !== "" && (
          <SourcesContext value={sources}>
            <div className="prose-answer" data-testid="answer">
              <Suspense fallback={<p className="whitespace-pre-wrap">{text}</p>}>
                <Markdown text={text} />
              </Suspense>
            </div>
          </SourcesContext>
        )}
        {phase === "streaming" && <StatusLine turn={turn} />}
        {phase === "stopped" && (
          <p className="text-sm text-ink-3">
            {turn.key.startsWith("live-") ? t("chat.stopped") : t("chat.interrupted")}
          </p>
        )}
        {phase === "failed" && turn.failure && (
          <FailureNote failure={turn.failure}>
            <button
              type="button"
              className="button"
              disabled={answering}
              onClick={() => onAgain(turn)}
            >
              <RotateCcw size={15} aria-hidden="true" /> {t("app.retry")}
            </button>
          </FailureNote>
        )}
        {last && answer?.notice && (
          <p className="flex gap-2 text-[0.8125rem] leading-relaxed text-ink-3">
            <Info size={15} aria-hidden="true" className="mt-[0.25em] shrink-0" />
            {answer.notice}
          </p>
        )}
        {answer && <SourceList turn={turn} />}
        {(phase === "done" || phase === "stopped") && (
          <Actions turn={turn} answering={answering} onAgain={onAgain} sources={sources} />
        )}
      </div>
    </article>
  );
});

function StatusLine({ turn }: { turn: Turn }) {
  const { t } = useTranslation();
  if (turn.text !== "") return null;
  let line = t("chat.working");
  if (turn.stage === "rewriting") line = t("chat.rewriting");
  else if (turn.stage === "searching" && turn.passages.length === 0) {
    line =
      turn.query && turn.query !== turn.question
        ? t("chat.searching", { query: turn.query })
        : t("chat.searchingPlain");
  } else if (turn.stage === "thinking") line = t("chat.thinking");
  else if (turn.passages.length > 0) line = t("chat.reading", { count: turn.passages.length });
  return (
    <p className="w-fit max-w-full px-1 text-sm text-ink-2 working" data-testid="status">
      {line}…
    </p>
  );
}

function Fold({ label, open, children }: { label: ReactNode; open: boolean; children: ReactNode }) {
  // Open while it happens, unless its reader decided otherwise.
  const [choice, setChoice] = useState<boolean>();
  const shown = choice ?? open;
  return (
    <div>
      <button
        type="button"
        aria-expanded={shown}
        onClick={() => setChoice(!shown)}
        className="-ml-1 flex items-center gap-1 rounded-lg py-1 pr-2 pl-0.5 text-sm font-medium text-ink-2 hover:text-ink"
      >
        <ChevronRight
          size={16}
          aria-hidden="true"
          className={`transition-transform ${shown ? "rotate-90" : ""}`}
        />
        {label}
      </button>
      {shown && <div className="mt-1 ml-[0.4rem] animate-rise border-l-2 pl-4">{children}</div>}
    </div>
  );
}

function Steps({ steps, open }: { steps: Step[]; open: boolean }) {
  const { t } = useTranslation();
  return (
    <Fold label={t("chat.steps", { count: steps.length })} open={open}>
      <ol className="space-y-3 text-sm">
        {steps.map((step, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: steps are only ever added at the end
          <li key={i}>
            {step.kind === "thought" ? (
              <p className="whitespace-pre-wrap text-ink-2">{step.text.trim()}</p>
            ) : (
              <ToolView step={step} />
            )}
          </li>
        ))}
      </ol>
    </Fold>
  );
}

function ToolView({ step }: { step: ToolStep }) {
  const { t } = useTranslation();
  const name = /calc/i.test(step.name)
    ? t("chat.tool.calculator")
    : /search|knowledge/i.test(step.name)
      ? t("chat.tool.search")
      : step.name;
  const output = step.error || step.output;
  return (
    <div>
      <p className={step.output === undefined && !step.error ? "w-fit working" : ""}>
        <span className="font-semibold">{name}</span>{" "}
        <span className="font-mono text-[0.85em]">{step.input}</span>
      </p>
      {output && (
        <pre
          className={`mt-1 max-h-40 overflow-auto rounded-lg bg-tint px-3 py-2 font-mono text-xs whitespace-pre-wrap ${step.error ? "text-danger" : "text-ink-2"}`}
        >
          {output}
        </pre>
      )}
    </div>
  );
}

function SourceList({ turn }: { turn: Turn }) {
  const { t } = useTranslation();
  const answer = turn.answer;
  if (!answer) return null;
  const found = new Map((answer.passages ?? []).map((passage) => [passage.n, passage]));
  const cited = (answer.citations ?? []).map(fromCitation);
  const numbers = new Set(cited.map((source) => source.n));
  const others = (answer.passages ?? [])
    .filter((passage) => !numbers.has(passage.n))
    .map(fromPassage);
  if (cited.length === 0 && others.length === 0) return null;
  return (
    <section aria-label={t("chat.sources")} className="space-y-2 pt-1">
      {cited.length > 0 && (
        <>
          <h3 className="eyebrow">{t("chat.sources")}</h3>
          <ul className="grid gap-2 sm:grid-cols-2">
            {cited.map((source) => (
              <SourceLabel key={source.n} source={source} found={found.get(source.n)} cited />
            ))}
          </ul>
        </>
      )}
      {others.length > 0 && (
        <Fold
          open={answer.declined === true}
          label={
            cited.length > 0 ? t("chat.alsoRead", { count: others.length }) : t("chat.nearest")
          }
        >
          {answer.query && answer.query !== turn.question && (
            <p className="pb-2 text-sm text-ink-3">
              {t("chat.searchedFor", { query: answer.query })}
            </p>
          )}
          <ul className="grid gap-2 sm:grid-cols-2">
            {others.map((source) => (
              <SourceLabel
                key={source.n}
                source={source}
                found={found.get(source.n)}
                cited={false}
              />
            ))}
          </ul>
        </Fold>
      )}
    </section>
  );
}

interface LabelProps {
  source: Source;
  /** The passage that it is, or is of. */
  found?: Passage;
  cited: boolean;
}

/** A source as a label on the gallery wall. */
function SourceLabel({ source, found, cited }: LabelProps) {
  const { t } = useTranslation();
  const { open } = useViewer();
  const placeText = usePlaceText();
  const where = [placeText(source), source.headings?.[source.headings.length - 1]].filter(Boolean);
  const why = [
    found?.dense_rank &&
      t("chat.byMeaning", { rank: found.dense_rank, score: (found.dense_score ?? 0).toFixed(2) }),
    found?.keyword_rank &&
      t("chat.byWords", { rank: found.keyword_rank, score: (found.keyword_score ?? 0).toFixed(1) }),
  ].filter(Boolean);
  return (
    <li className="min-w-0">
      <button
        type="button"
        onClick={() => open(source)}
        className="flex h-full w-full items-start gap-3 rounded-lg border bg-card px-3 py-2.5 text-left hover:border-line-2 hover:shadow-float"
      >
        <span
          className={
            cited ? "cite mt-[0.35em]" : "mt-[0.15em] min-w-5 text-center text-xs text-ink-3"
          }
        >
          {source.n}
        </span>
        <span className="min-w-0 flex-1 text-sm leading-snug">
          <span className="block truncate font-semibold">{source.document}</span>
          <span className="line-clamp-2 text-xs text-ink-3">
            {where.join(" · ") || source.path}
          </span>
          {why.length > 0 && (
            <span className="mt-0.5 block text-xs text-ink-3" data-testid="why">
              {why.join(" · ")}
            </span>
          )}
        </span>
      </button>
    </li>
  );
}

interface ActionsProps extends Omit<Props, "last"> {
  sources: ReadonlyMap<number, Source>;
}

function Actions({ turn, answering, onAgain, sources }: ActionsProps) {
  const { t } = useTranslation();
  const placeText = usePlaceText();
  const [copied, setCopied] = useState(false);
  const usage = turn.answer?.usage;

  async function copy() {
    const list = turn.answer
      ? [...sources.values()].map(
          (source) =>
            `[${source.n}] ${[source.document, placeText(source), source.headings?.join(" › ")].filter(Boolean).join(", ")}`,
        )
      : [];
    const text = [turn.text, list.join("\n")].filter(Boolean).join("\n\n");
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages on plain http, other than on this machine, have no clipboard; the old way still works.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  }

  return (
    <div className="-ml-2 flex items-center text-xs text-ink-3">
      {turn.text !== "" && (
        <button
          type="button"
          className="icon-button"
          onClick={copy}
          aria-label={t("chat.copy")}
          title={t("chat.copy")}
        >
          {copied ? <Check size={16} aria-hidden="true" /> : <Copy size={16} aria-hidden="true" />}
        </button>
      )}
      {turn.question !== "" && (
        <button
          type="button"
          className="icon-button"
          disabled={answering}
          onClick={() => onAgain(turn)}
          aria-label={t("chat.again")}
          title={t("chat.again")}
        >
          <RotateCcw size={16} aria-hidden="true" />
        </button>
      )}
      <span role="status" className={copied ? "" : "sr-only"}>
        {copied ? t("chat.copied") : ""}
      </span>
      {turn.answer?.model && !copied && (
        <span
          className="ml-1.5"
          title={
            usage && usage.prompt_tokens + usage.completion_tokens > 0
              ? t("chat.tokens", {
                  prompt: usage.prompt_tokens,
                  completion: usage.completion_tokens,
                })
              : undefined
          }
        >
          {turn.answer.model}
        </span>
      )}
    </div>
  );
}
