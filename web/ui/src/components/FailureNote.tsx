import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Failure } from "../types/events";

const known = [
  "unreachable",
  "model_unavailable",
  "not_found",
  "exists",
  "too_large",
  "bad_request",
  "conflict",
  "forbidden",
  "storage_full",
  "internal",
] as const;

type Known = (typeof known)[number];

function isKnown(code: string): code is Known {
  return (known as readonly string[]).includes(code);
}

/** An error in the reader's language, with the server's own words beneath. */
export function useFailureText() {
  const { t } = useTranslation();
  return (failure: Failure) => {
    const code: Known = isKnown(failure.code) ? failure.code : "internal";
    const hint =
      code === "unreachable"
        ? t("errors.unreachableHint")
        : code === "model_unavailable"
          ? t("errors.model_unavailableHint")
          : "";
    return { title: t(`errors.${code}`), hint, message: failure.message };
  };
}

export function FailureNote({ failure, children }: { failure: Failure; children?: ReactNode }) {
  const { title, hint, message } = useFailureText()(failure);
  return (
    <div role="alert" className="flex gap-3 rounded-xl bg-danger-wash px-4 py-3 text-[0.9rem]">
      <CircleAlert aria-hidden="true" size={18} className="mt-0.5 shrink-0 text-danger" />
      <div className="min-w-0 flex-1">
        <p className="font-semibold text-danger">{title}</p>
        {message && <p className="text-ink-2">{message}</p>}
        {hint && <p className="text-ink-2">{hint}</p>}
        {children && <div className="mt-2 flex flex-wrap gap-2">{children}</div>}
      </div>
    </div>
  );
}
