import { Download, LocateFixed, X } from "lucide-react";
import {
  Fragment,
  memo,
  type ReactNode,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { layOut, placeOf, type Run, type ViewBlock, type ViewDocument } from "../lib/documentModel";
import { baseName } from "../lib/format";
import type { Source, ViewerPlace } from "../lib/place";
import { useContent, useDocument } from "../state/queries";
import { FailureNote } from "./FailureNote";

interface Props {
  place: ViewerPlace;
  /** What was quoted, shown when the document itself is gone. */
  quoted?: Source;
  onClose: () => void;
}

/** A document's extracted text, at the quoted passage. */
export default function Viewer({ place, quoted, onClose }: Props) {
  const { t } = useTranslation();
  const info = useDocument(place.document);
  const content = useContent(place.document);
  const { mark } = place;
  const start = mark?.start;
  const end = mark?.end;
  const view = useMemo(
    () =>
      content.data &&
      layOut(content.data, start !== undefined && end !== undefined ? { start, end } : undefined),
    [content.data, start, end],
  );
  const where = useMemo(() => (view ? placeOf(view) : undefined), [view]);
  const jump = useRef<(block: number) => void>(() => undefined);
  const heading = useRef<HTMLHeadingElement>(null);

  // Focus follows the click, so that Escape and the arrow keys work on what has opened.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each place opened
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
  }, [place.document, start]);

  const title =
    info.data?.title ||
    quoted?.document ||
    content.data?.title ||
    (info.data ? baseName(info.data.path) : "");
  const path = info.data?.path ?? quoted?.path ?? "";
  const error = content.error ?? info.error;
  const failure = error ? toFailure(error) : undefined;

  return (
    <div className="flex h-full min-h-0 flex-col bg-card">
      <header className="flex items-start gap-1 border-b py-2.5 pr-2 pl-5">
        <div className="min-w-0 flex-1 py-1">
          <h2
            ref={heading}
            tabIndex={-1}
            className="truncate font-semibold outline-none"
            title={path}
          >
            {title || t("viewer.title")}
          </h2>
          <p className="line-clamp-2 text-xs text-ink-3">
            {[
              path !== title ? path : "",
              where?.page ? t("chat.page", { page: where.page }) : "",
              where?.headings.join(" › "),
            ]
              .filter(Boolean)
              .join(" · ")}
          </p>
        </div>
        {view && view.outline.length > 1 && (
          <select
            className="mt-1 h-8 w-28 rounded-lg border bg-card px-1.5 text-xs text-ink-2"
            aria-label={t("viewer.outline")}
            value=""
            onChange={(event) => jump.current(Number(event.target.value))}
          >
            <option value="" disabled>
              {t("viewer.outline")}
            </option>
            {view.outline.slice(0, outlineSize).map((entry) => (
              <option key={entry.block} value={entry.block}>
                {"\u2003".repeat(Math.max(0, entry.level - 1)) + entry.text}
              </option>
            ))}
          </select>
        )}
        {view && view.pages.length > 1 && (
          <label className="mt-1 flex items-center gap-1.5 text-xs text-ink-3">
            <span className="sr-only sm:not-sr-only">{t("viewer.jump")}</span>
            <select
              className="h-8 rounded-lg border bg-card px-1.5 text-ink-2"
              value=""
              onChange={(event) => {
                const page = view.pages[Number(event.target.value)];
                if (page) jump.current(page.block);
              }}
            >
              <option value="" disabled>
                {where?.page ?? "–"} / {view.pages.length}
              </option>
              {view.pages.map((page, i) => (
                <option key={page.block + page.label} value={i}>
                  {page.label}
                </option>
              ))}
            </select>
          </label>
        )}
        {view && view.firstMarked >= 0 && (
          <button
            type="button"
            className="icon-button"
            onClick={() => jump.current(view.firstMarked)}
            aria-label={t("viewer.passage")}
            title={t("viewer.passage")}
          >
            <LocateFixed size={17} aria-hidden="true" />
          </button>
        )}
        <a
          className="icon-button"
          href={api.originalUrl(place.document)}
          download={baseName(path)}
          aria-label={t("documents.download")}
          title={t("documents.download")}
        >
          <Download size={17} aria-hidden="true" />
        </a>
        <button
          type="button"
          className="icon-button"
          onClick={onClose}
          aria-label={t("viewer.close")}
          title={t("viewer.close")}
        >
          <X size={19} aria-hidden="true" />
        </button>
      </header>
      {view ? (
        <Sheet key={place.document} view={view} language={content.data?.language} jump={jump} />
      ) : failure?.code === "not_found" ? (
        <div className="p-6">
          <p className="font-semibold">{t("viewer.missing")}</p>
          {quoted && (
            <>
              <p className="mt-1 text-ink-2">{t("viewer.missingHint")}</p>
              <blockquote className="sheet mt-4 border-l-3 border-marker-2 pl-4 whitespace-pre-line">
                {quoted.text}
              </blockquote>
            </>
          )}
        </div>
      ) : failure ? (
        <div className="p-5">
          <FailureNote failure={failure}>
            <button type="button" className="button" onClick={() => content.refetch()}>
              {t("app.retry")}
            </button>
          </FailureNote>
        </div>
      ) : (
        <p className="p-6 text-ink-3">{t("app.loading")}</p>
      )}
    </div>
  );
}

// More headings than this are a list of their own, in which nobody finds one.
const outlineSize = 500;

// A book has tens of thousands of blocks: those around the passage are drawn first, and more as its
// reader comes near the edge.
const windowSize = 240;

interface SheetProps {
  view: ViewDocument;
  language?: string;
  jump: { current: (block: number) => void };
}

function Sheet({ view, language, jump }: SheetProps) {
  const total = view.blocks.length;
  const around = useCallback(
    (block: number) => ({
      from: Math.max(0, block - windowSize / 2),
      to: Math.min(total, block + windowSize / 2),
    }),
    [total],
  );
  const focus = Math.max(0, view.firstMarked);
  const [range, setRange] = useState(() => around(focus));
  const box = useRef<HTMLDivElement>(null);
  const goal = useRef<number | undefined>(view.firstMarked >= 0 ? view.firstMarked : undefined);
  const heightBefore = useRef<number | undefined>(undefined);

  jump.current = (block) => {
    goal.current = block;
    setRange({ ...around(block) });
  };

  // Another passage of the same document.
  const shownView = useRef(view);
  if (shownView.current !== view) {
    shownView.current = view;
    if (view.firstMarked >= 0) {
      goal.current = view.firstMarked;
      if (view.firstMarked < range.from || view.firstMarked >= range.to)
        setRange(around(view.firstMarked));
    }
  }

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    if (goal.current !== undefined) {
      const block = element.querySelector<HTMLElement>(`[data-block="${goal.current}"]`);
      const target = block?.querySelector("mark") ?? block;
      if (target) {
        const top = target.getBoundingClientRect().top - element.getBoundingClientRect().top;
        element.scrollTop += top - Math.min(140, element.clientHeight / 4);
      }
      goal.current = undefined;
    } else if (heightBefore.current !== undefined) {
      // Blocks were added above: what is read stays where it is.
      element.scrollTop += element.scrollHeight - heightBefore.current;
    }
    heightBefore.current = undefined;
  });

  function onScroll() {
    const element = box.current;
    if (!element) return;
    if (range.from > 0 && element.scrollTop < 600) {
      heightBefore.current = element.scrollHeight;
      setRange({ from: Math.max(0, range.from - windowSize), to: range.to });
    } else if (
      range.to < total &&
      element.scrollHeight - element.scrollTop - element.clientHeight < 1200
    ) {
      setRange({ from: range.from, to: Math.min(total, range.to + windowSize) });
    }
  }

  return (
    <div
      ref={box}
      onScroll={onScroll}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
      className="min-h-0 flex-1 overflow-y-auto overscroll-contain [overflow-anchor:none] -outline-offset-2"
    >
      <div
        className="sheet mx-auto max-w-[40rem] px-5 pt-3 pb-24 sm:px-9"
        lang={language || undefined}
      >
        {view.blocks.slice(range.from, range.to).map((block) => (
          <BlockView key={block.key} block={block} />
        ))}
      </div>
    </div>
  );
}

function PageMark({ label }: { label: string }) {
  const { t } = useTranslation();
  return (
    <span className="my-5 flex items-center gap-3 font-sans text-xs whitespace-nowrap text-ink-3 select-none">
      <span className="h-px flex-1 bg-line" />
      {t("viewer.page", { page: label })}
      <span className="h-px flex-1 bg-line" />
    </span>
  );
}

function Runs({ runs }: { runs: readonly Run[] }) {
  return runs.map((run, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: a block's runs never move
    <Fragment key={i}>
      {run.page !== undefined && <PageMark label={run.page} />}
      <Linked href={run.href}>
        {run.marked ? <mark data-testid="quoted">{run.text}</mark> : run.text}
      </Linked>
    </Fragment>
  ));
}

/** A link out of the document. The place it leads to learns nothing of this page. */
function Linked({ href, children }: { href?: string; children: ReactNode }) {
  if (!href) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow" title={href}>
      {children}
    </a>
  );
}

const BlockView = memo(function BlockView({ block }: { block: ViewBlock }) {
  return (
    <div data-block={block.key}>
      {block.page !== undefined && <PageMark label={block.page} />}
      <BlockBody block={block} />
    </div>
  );
});

function BlockBody({ block }: { block: ViewBlock }): ReactNode {
  const runs = <Runs runs={block.runs} />;
  switch (block.kind) {
    case "heading": {
      // The panel's own title is the h2 above; a document may go five deep below it.
      const Tag = `h${Math.min(6, Math.max(2, block.level + 1))}` as
        | "h2"
        | "h3"
        | "h4"
        | "h5"
        | "h6";
      return <Tag>{runs}</Tag>;
    }
    case "list_item":
      return (
        <ul>
          <li
            className="my-1 flex gap-2.5"
            style={{ paddingLeft: `${Math.max(0, block.level - 1) * 1.25}rem` }}
          >
            <span
              aria-hidden="true"
              className="min-w-4 shrink-0 text-right text-ink-3 tabular-nums"
            >
              {block.bullet}
            </span>
            <span className="min-w-0 flex-1">{runs}</span>
          </li>
        </ul>
      );
    case "code":
      return (
        <pre>
          <code>{runs}</code>
        </pre>
      );
    case "quote":
      return <blockquote className="whitespace-pre-line">{runs}</blockquote>;
    case "table":
      return block.rows ? <TableView block={block} /> : <pre>{runs}</pre>;
    default:
      return <p>{runs}</p>;
  }
}

function TableView({ block }: { block: ViewBlock }) {
  const [head, ...rows] = block.rows ?? [];
  return (
    <div className="scroll-x">
      <table>
        {head && (
          <thead>
            <tr>
              {head.map((cell, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: cells never move
                <th key={i} scope="col">
                  <Runs runs={cell.runs} />
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {rows.map((row, r) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows never move
            <tr key={r}>
              {row.map((cell, c) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: cells never move
                <td key={c}>
                  <Runs runs={cell.runs} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
