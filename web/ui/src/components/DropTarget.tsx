import { FolderDown } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { fromDrop } from "../lib/uploads";
import { useInfo } from "../state/queries";
import { enqueueUploads } from "../state/uploads";
import { startWithFiles } from "./Welcome";

/** Files may be dropped anywhere on the page. */
export function DropTarget({ collection }: { collection: string }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { data: info } = useInfo();
  const [over, setOver] = useState(false);
  const maxBytes = info?.max_upload_bytes;

  useEffect(() => {
    const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    let depth = 0;
    function onEnter(event: DragEvent) {
      if (!carriesFiles(event)) return;
      depth++;
      setOver(true);
    }
    function onLeave(event: DragEvent) {
      if (!carriesFiles(event)) return;
      depth = Math.max(0, depth - 1);
      if (depth === 0) setOver(false);
    }
    function onOver(event: DragEvent) {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    }
    async function onDrop(event: DragEvent) {
      if (!carriesFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      depth = 0;
      setOver(false);
      const files = await fromDrop(event.dataTransfer);
      if (files.length === 0) return;
      let name = collection;
      if (name === "") name = await startWithFiles(files, maxBytes);
      else enqueueUploads(name, files, maxBytes);
      navigate(`/c/${encodeURIComponent(name)}/documents`);
    }
    addEventListener("dragenter", onEnter);
    addEventListener("dragleave", onLeave);
    addEventListener("dragover", onOver);
    addEventListener("drop", onDrop);
    return () => {
      removeEventListener("dragenter", onEnter);
      removeEventListener("dragleave", onLeave);
      removeEventListener("dragover", onOver);
      removeEventListener("drop", onDrop);
    };
  }, [collection, maxBytes, navigate]);

  if (!over) return null;
  return (
    <div className="pointer-events-none fixed inset-0 z-70 grid animate-fade place-items-center bg-shade p-6">
      <div className="flex flex-col items-center gap-3 rounded-3xl border-2 border-accent border-dashed bg-card px-12 py-10 text-lg font-semibold shadow-float">
        <FolderDown size={40} strokeWidth={1.4} aria-hidden="true" className="text-accent" />
        {collection ? t("documents.dropHere", { collection }) : t("documents.dropNew")}
      </div>
    </div>
  );
}
