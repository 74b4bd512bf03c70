import { Pause, Play } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../lib/api";
import { formatBytes, formatSeconds } from "../lib/format";
import { keys, queryClient, useFlow } from "../state/queries";

interface Props {
  collection: string;
  /** Nothing is in the queue: say something only where it would keep the next file from being read. */
  idle?: boolean;
}

/** How fast the batch goes and how long it will take, and the button that halts the queue. */
export function QueueControls({ collection, idle }: Props) {
  const { t, i18n } = useTranslation();
  const { data: flow } = useFlow(collection);
  const [busy, setBusy] = useState(false);
  if (!flow || (idle && !flow.paused)) return null;

  async function toggle() {
    setBusy(true);
    try {
      await (flow?.paused ? api.resumeQueue() : api.pauseQueue());
    } finally {
      await queryClient.invalidateQueries({ queryKey: keys.flow(collection) });
      setBusy(false);
    }
  }

  const facts = flow.paused
    ? [t("documents.queuePaused")]
    : [
        flow.files > 1
          ? t("documents.filesDone", { done: flow.files_done, total: flow.files })
          : "",
        flow.bytes_per_second > 0 && flow.files_done < flow.files
          ? t("documents.rate", { rate: formatBytes(flow.bytes_per_second, i18n.language) })
          : "",
        flow.seconds_left
          ? t("documents.timeLeft", { time: formatSeconds(flow.seconds_left, i18n.language) })
          : "",
      ].filter(Boolean);
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1 text-sm text-ink-2 tabular-nums">
      <span data-testid="flow">{facts.join(" · ")}</span>
      <button
        type="button"
        className="inline-flex items-center gap-1 rounded px-2 py-1 hover:text-ink"
        disabled={busy}
        onClick={toggle}
      >
        {flow.paused ? (
          <Play size={14} aria-hidden="true" />
        ) : (
          <Pause size={14} aria-hidden="true" />
        )}
        {flow.paused ? t("documents.resumeAll") : t("documents.pauseAll")}
      </button>
    </div>
  );
}
