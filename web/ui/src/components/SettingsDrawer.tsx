import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { keys, queryClient, useSettings } from "../state/queries";
import type { Setting } from "../types/api";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";
import { Drawer } from "./Modal";

/** The settings of a collection; each is stored as soon as it is chosen. */
export function SettingsDrawer({
  collection,
  onClose,
}: {
  collection: string;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const { data: fields, error } = useSettings(collection);
  const [failure, setFailure] = useState<Failure>();

  async function change(field: Setting, value: Setting["value"]) {
    setFailure(undefined);
    // "private.email" is the field email of the object private.
    const patch = field.key
      .split(".")
      .reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    try {
      queryClient.setQueryData(
        keys.settings(collection),
        await api.changeSettings(collection, patch),
      );
    } catch (problem) {
      setFailure(toFailure(problem));
    }
  }

  return (
    <Drawer
      open
      onOpenChange={(open) => !open && onClose()}
      title={t("collectionSettings.title")}
      description={collection}
    >
      {error && <FailureNote failure={toFailure(error)} />}
      <p className="mb-3 text-sm text-ink-3">{t("collectionSettings.hint")}</p>
      {failure && <FailureNote failure={failure} />}
      <div className="divide-y" data-testid="settings">
        {fields?.map((field) => (
          <Field key={field.key} field={field} onChange={(value) => change(field, value)} />
        ))}
      </div>
    </Drawer>
  );
}

function Field({
  field,
  onChange,
}: {
  field: Setting;
  onChange: (value: Setting["value"]) => void;
}) {
  const { t } = useTranslation();
  const id = useId();
  const key = field.key.replaceAll(".", "_");
  // A setting that this page does not know yet shows under the server's own name.
  const name = t(`collectionSettings.fields.${key}.name`, { defaultValue: field.key });
  const help = t(`collectionSettings.fields.${key}.help`, { defaultValue: field.help });
  return (
    <div className="flex items-start gap-4 py-3">
      <div className="min-w-0 flex-1">
        <label htmlFor={id} className="font-medium">
          {name}
        </label>
        <p id={`${id}-help`} className="text-sm text-ink-3">
          {help}
        </p>
      </div>
      {typeof field.value === "boolean" ? (
        <input
          id={id}
          type="checkbox"
          className="mt-1.5 size-4"
          aria-describedby={`${id}-help`}
          checked={field.value}
          onChange={(event) => onChange(event.target.checked)}
        />
      ) : field.values ? (
        <select
          id={id}
          className="field !w-32 shrink-0"
          aria-describedby={`${id}-help`}
          value={String(field.value)}
          onChange={(event) => onChange(event.target.value)}
        >
          {field.values.map((value) => (
            <option key={value} value={value}>
              {t(`collectionSettings.values.${value}`, { defaultValue: value })}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          type={typeof field.value === "number" ? "number" : "text"}
          className="field !w-32 shrink-0"
          aria-describedby={`${id}-help`}
          defaultValue={String(field.value)}
          onBlur={(event) => {
            const text = event.target.value;
            const value = typeof field.value === "number" ? Number(text) : text;
            if (value !== field.value) onChange(value);
          }}
        />
      )}
    </div>
  );
}
