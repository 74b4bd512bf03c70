import { FlaskConical, Upload } from "lucide-react";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { ApiError, api, toFailure } from "../lib/api";
import { writeStored } from "../lib/storage";
import { type Dropped, fromInput } from "../lib/uploads";
import { keys, noteJobs, queryClient, useInfo } from "../state/queries";
import { enqueueUploads } from "../state/uploads";
import type { Failure } from "../types/events";
import { CreateCollection } from "./CreateCollection";
import { FailureNote } from "./FailureNote";

async function ensureCollection(name: string) {
  try {
    await api.createCollection(name);
  } catch (error) {
    if (!(error instanceof ApiError && error.code === "exists")) throw error;
  }
  await queryClient.invalidateQueries({ queryKey: keys.collections });
}

/** Files that came before there was any collection get one. */
export async function startWithFiles(
  files: readonly Dropped[],
  maxBytes?: number,
): Promise<string> {
  const name = "documents";
  await ensureCollection(name);
  enqueueUploads(name, files, maxBytes);
  return name;
}

export async function startWithSample(): Promise<string> {
  const name = "sample";
  await ensureCollection(name);
  const { jobs, questions } = await api.addSample(name);
  writeStored(`questions.${name}`, JSON.stringify(questions ?? []));
  noteJobs(name, jobs ?? []);
  return name;
}

/** The first visit. */
export function Welcome() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { data: info } = useInfo();
  const files = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [naming, setNaming] = useState(false);
  const [failure, setFailure] = useState<Failure>();

  async function go(start: () => Promise<string>, page = "") {
    setBusy(true);
    setFailure(undefined);
    try {
      navigate(`/c/${encodeURIComponent(await start())}${page}`);
    } catch (error) {
      setFailure(toFailure(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <div className="grid min-h-0 flex-1 place-items-center overflow-y-auto px-5">
      <div className="w-full max-w-[38rem] py-10">
        <h1 className="font-serif text-[2rem] leading-tight font-bold sm:text-[2.7rem]">
          <span className="bg-linear-to-r from-marker to-marker bg-[length:100%_42%] bg-[position:0_85%] bg-no-repeat">
            {t("welcome.title")}
          </span>
        </h1>
        <p className="mt-4 max-w-[34rem] text-lg leading-relaxed text-ink-2">{t("welcome.text")}</p>
        <button
          type="button"
          disabled={busy}
          onClick={() => files.current?.click()}
          className="mt-8 flex w-full items-center gap-4 rounded-2xl border-2 border-line-2 border-dashed bg-card/60 px-6 py-7 text-left hover:border-accent hover:bg-card"
        >
          <Upload size={28} strokeWidth={1.5} aria-hidden="true" className="shrink-0 text-accent" />
          <span>
            <span className="block font-semibold">
              {t("welcome.drop")} {t("welcome.or")}{" "}
              <span className="text-accent underline underline-offset-4">
                {t("documents.files")}
              </span>
            </span>
            <span className="block text-sm text-ink-3">{t("documents.formats")}</span>
          </span>
        </button>
        <input
          ref={files}
          type="file"
          multiple
          className="hidden"
          onChange={(event) => {
            const list = event.target.files;
            if (!list || list.length === 0) return;
            const chosen = fromInput(list);
            go(() => startWithFiles(chosen, info?.max_upload_bytes), "/documents");
          }}
        />
        <div className="mt-4 flex flex-wrap items-center gap-x-4 gap-y-2">
          {info?.sample !== false && (
            <button
              type="button"
              className="button primary"
              disabled={busy}
              onClick={() => go(startWithSample)}
            >
              <FlaskConical size={16} aria-hidden="true" />
              {busy ? t("welcome.sampleLoading") : t("welcome.sample")}
            </button>
          )}
          {!naming && (
            <button type="button" className="button" onClick={() => setNaming(true)}>
              {t("collections.create")}
            </button>
          )}
          {info?.sample !== false && (
            <p className="basis-full text-sm text-ink-3">{t("welcome.sampleHint")}</p>
          )}
        </div>
        {naming && (
          <div className="mt-3 max-w-sm">
            <CreateCollection
              onCancel={() => setNaming(false)}
              onCreated={(name) => navigate(`/c/${encodeURIComponent(name)}/documents`)}
            />
          </div>
        )}
        {failure && (
          <div className="mt-4">
            <FailureNote failure={failure} />
          </div>
        )}
      </div>
    </div>
  );
}
