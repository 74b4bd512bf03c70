import { type FormEvent, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { toFailure } from "../lib/api";
import { useCreateCollection } from "../state/queries";
import { useFailureText } from "./FailureNote";

interface Props {
  onCreated: (name: string) => void;
  onCancel: () => void;
}

/** The inline form of the sidebar. */
export function CreateCollection({ onCreated, onCancel }: Props) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const create = useCreateCollection();
  const failureText = useFailureText();
  const id = useId();
  const failure = create.error ? failureText(toFailure(create.error)) : undefined;

  function submit(event: FormEvent) {
    event.preventDefault();
    if (name.trim() === "" || create.isPending) return;
    create.mutate(name.trim(), { onSuccess: (collection) => onCreated(collection.name) });
  }

  return (
    <form
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          onCancel();
        }
      }}
      className="animate-rise px-1 py-1"
    >
      <label htmlFor={id} className="sr-only">
        {t("collections.name")}
      </label>
      <div className="flex gap-1.5">
        <input
          id={id}
          // biome-ignore lint/a11y/noAutofocus: it opens because its reader asked for it
          autoFocus
          className="field min-w-0 flex-1"
          placeholder={t("collections.namePlaceholder")}
          value={name}
          onChange={(event) => setName(event.target.value)}
          aria-invalid={failure !== undefined}
          aria-describedby={failure ? `${id}-error` : undefined}
          autoComplete="off"
          maxLength={100}
        />
        <button
          type="submit"
          className="button primary"
          disabled={name.trim() === "" || create.isPending}
        >
          {t("collections.add")}
        </button>
      </div>
      {failure && (
        <p id={`${id}-error`} role="alert" className="mt-1 text-sm text-danger">
          {failure.title} {failure.message}
        </p>
      )}
    </form>
  );
}
