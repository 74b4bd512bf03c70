import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, toFailure } from "../lib/api";
import { keys, queryClient, useSettings } from "../state/queries";
import type { Setting } from "../types/api";
import type { Failure } from "../types/events";
import { FailureNote } from "./FailureNote";
import { Drawer } from "./Modal";

const searchPrefix = "retrieval.";

interface Props {
  collection: string;
  /** Only how it is searched. */
  search?: boolean;
  onClose: () => void;
}

/** The settings of a collection; each is stored as soon as it is chosen. */
export function SettingsDrawer({ collection, search = false, onClose }: Props) {
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
      title={t(search ? "collectionSettings.searchTitle" : "collectionSettings.title")}
      description={collection}
    >
      {error && <FailureNote failure={toFailure(error)} />}
      {failure && <FailureNote failure={failure} />}
      <div data-testid="settings">
        {!search && (
          <Section
            title={t("collectionSettings.readingTitle")}
            hint={t("collectionSettings.hint")}
            fields={fields?.filter((field) => !field.key.startsWith(searchPrefix))}
            onChange={change}
          />
        )}
        <Section
          title={search ? undefined : t("collectionSettings.searchTitle")}
          hint={t("collectionSettings.searchHint")}
          fields={fields?.filter((field) => field.key.startsWith(searchPrefix))}
          onChange={change}
        />
      </div>
    </Drawer>
  );
}

interface SectionProps {
  title?: string;
  hint: string;
  fields?: Setting[];
  onChange: (field: Setting, value: Setting["value"]) => void;
}

function Section({ title, hint, fields, onChange }: SectionProps) {
  return (
    <section className="mb-6">
      {title && <h3 className="eyebrow">{title}</h3>}
      <p className="mb-1 text-sm text-ink-3">{hint}</p>
      <div className="divide-y">
        {fields?.map((field) => (
          <Field key={field.key} field={field} onChange={(value) => onChange(field, value)} />
        ))}
      </div>
    </section>
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
