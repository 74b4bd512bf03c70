import { HoverCard } from "radix-ui";
import { createContext, useContext } from "react";
import { useTranslation } from "react-i18next";
import { rowsOf, type Source } from "../lib/place";

import { useViewer } from "./useViewer";

/** The sources that the numbers in an answer stand for. */
export const SourcesContext = createContext<ReadonlyMap<number, Source>>(new Map());

export function usePlaceText() {
  const { t } = useTranslation();
  return (source: { page?: number; last_page?: number; labels?: string[] }) => {
    const parts: string[] = [];
    if (source.page && source.last_page && source.last_page > source.page) {
      parts.push(t("chat.pages", { page: source.page, last: source.last_page }));
    } else if (source.page) {
      parts.push(t("chat.page", { page: source.page }));
    }
    for (const label of source.labels ?? []) {
      const { table, rows } = rowsOf(label);
      if (table) parts.push(table);
      if (rows) parts.push(t(/^\d+$/.test(rows) ? "chat.row" : "chat.rows", { rows }));
    }
    return parts.join(", ");
  };
}

export function CitationChip({ n }: { n: number }) {
  const { t } = useTranslation();
  const source = useContext(SourcesContext).get(n);
  const { place, open } = useViewer();
  const placeText = usePlaceText();
  if (!source) return <span>[{n}]</span>;
  const shown =
    place?.document === source.document_id &&
    place.mark?.start === source.start &&
    place.mark.end === source.end;
  return (
    <HoverCard.Root openDelay={200} closeDelay={100}>
      <HoverCard.Trigger asChild>
        <button
          type="button"
          className="cite"
          aria-label={t("chat.citation", { n, document: source.document })}
          aria-pressed={shown}
          onClick={() => open(source)}
        >
          {n}
        </button>
      </HoverCard.Trigger>
      <HoverCard.Portal>
        <HoverCard.Content
          sideOffset={6}
          collisionPadding={12}
          className="z-40 w-[min(23rem,calc(100vw-2rem))] animate-rise rounded-xl border bg-card p-3.5 text-sm shadow-float"
        >
          <p className="font-semibold">{source.document}</p>
          <p className="text-xs text-ink-3">
            {[placeText(source), source.headings?.join(" › ")].filter(Boolean).join(" · ")}
          </p>
          <p className="mt-2 line-clamp-6 border-l-3 border-marker-2 pl-2.5 font-serif leading-relaxed whitespace-pre-line text-ink-2">
            {source.text}
          </p>
        </HoverCard.Content>
      </HoverCard.Portal>
    </HoverCard.Root>
  );
}
