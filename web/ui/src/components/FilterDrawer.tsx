import { Plus, Search, X } from "lucide-react";
import { type ReactNode, useId, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { toFailure } from "../lib/api";
import {
  type Choice,
  type Condition,
  type ConditionOp,
  conditionOps,
  countOf,
  everything,
  facetsOf,
} from "../lib/filter";
import { useFilters } from "../state/filters";
import { useDocuments } from "../state/queries";
import type { DocumentInfo } from "../types/api";
import { FailureNote } from "./FailureNote";
import { Drawer } from "./Modal";

const mostDocuments = 100; // shown at once; typing narrows them

/** Chooses which documents are asked; a choice counts at once. */
export function FilterDrawer({ collection, onClose }: { collection: string; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const { data: documents, error } = useDocuments(collection);
  const choice = useFilters((state) => state.choices[collection]) ?? everything;
  const setChoice = useFilters((state) => state.setChoice);
  const facets = useMemo(() => facetsOf(documents ?? []), [documents]);
  const names = useMemo(
    () => new Intl.DisplayNames([i18n.language], { type: "language", fallback: "code" }),
    [i18n.language],
  );
  const change = (part: Partial<Choice>) => setChoice(collection, { ...choice, ...part });
  const changeCondition = (at: number, part: Partial<Condition>) =>
    change({
      conditions: choice.conditions.map((row, i) => (i === at ? { ...row, ...part } : row)),
    });

  return (
    <Drawer
      open
      onOpenChange={(open) => !open && onClose()}
      title={t("filter.title")}
      description={collection}
    >
      {error && <FailureNote failure={toFailure(error)} />}
      <p className="text-sm text-ink-3">{t("filter.hint")}</p>
      <div className="mt-4 space-y-6" data-testid="filter">
        <DocumentPicker
          documents={documents ?? []}
          chosen={choice.documents}
          onChange={(chosen) => change({ documents: chosen })}
        />
        {facets.formats.length > 0 && (
          <Pills
            label={t("filter.format")}
            options={facets.formats}
            chosen={choice.formats}
            onChange={(formats) => change({ formats })}
          />
        )}
        {facets.languages.length > 0 && (
          <Pills
            label={t("filter.language")}
            options={facets.languages}
            name={(code) => names.of(code) ?? code}
            chosen={choice.languages}
            onChange={(languages) => change({ languages })}
          />
        )}
        <Group label={t("filter.updated")}>
          <div className="flex flex-wrap gap-3">
            {(["from", "to"] as const).map((end) => (
              <label key={end} className="flex items-center gap-2 text-sm text-ink-2">
                {t(`filter.${end}`)}
                <input
                  type="date"
                  className="field !w-40"
                  value={choice[end]}
                  onChange={(event) => change({ [end]: event.target.value })}
                />
              </label>
            ))}
          </div>
        </Group>
        {facets.metadata.size > 0 && (
          <Group label={t("filter.metadata")}>
            <div className="space-y-2">
              {choice.conditions.map((row, at) => (
                <ConditionRow
                  // biome-ignore lint/suspicious/noArrayIndexKey: rows have no other name, and hold no state of their own
                  key={at}
                  row={row}
                  metadata={facets.metadata}
                  onChange={(part) => changeCondition(at, part)}
                  onRemove={() =>
                    change({ conditions: choice.conditions.filter((_, i) => i !== at) })
                  }
                />
              ))}
              <button
                type="button"
                className="button"
                onClick={() =>
                  change({
                    conditions: [
                      ...choice.conditions,
                      { key: [...facets.metadata.keys()][0] ?? "", op: "=", value: "" },
                    ],
                  })
                }
              >
                <Plus size={15} aria-hidden="true" /> {t("filter.add")}
              </button>
            </div>
          </Group>
        )}
      </div>
      <div className="mt-6 flex justify-end gap-2">
        <button
          type="button"
          className="button"
          disabled={countOf(choice) === 0 && choice.conditions.length === 0}
          onClick={() => setChoice(collection, everything)}
        >
          {t("filter.clear")}
        </button>
        <button type="button" className="button primary" onClick={onClose}>
          {t("filter.done")}
        </button>
      </div>
    </Drawer>
  );
}

function Group({ label, children }: { label: string; children: ReactNode }) {
  return (
    <fieldset>
      <legend className="eyebrow mb-1.5">{label}</legend>
      {children}
    </fieldset>
  );
}

const toggled = (list: readonly string[], value: string) =>
  list.includes(value) ? list.filter((item) => item !== value) : [...list, value];

interface PickerProps {
  documents: readonly DocumentInfo[];
  chosen: string[];
  onChange: (chosen: string[]) => void;
}

function DocumentPicker({ documents, chosen, onChange }: PickerProps) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const fits = documents.filter(
    ({ title, path }) =>
      wanted === "" || title.toLowerCase().includes(wanted) || path.toLowerCase().includes(wanted),
  );
  // Those that are chosen stay in sight, whatever is typed.
  const shown = [
    ...documents.filter(({ id }) => chosen.includes(id)),
    ...fits.filter(({ id }) => !chosen.includes(id)),
  ].slice(0, Math.max(mostDocuments, chosen.length));
  return (
    <Group label={t("filter.documents")}>
      <div className="relative">
        <Search
          size={15}
          aria-hidden="true"
          className="absolute top-1/2 left-2.5 -translate-y-1/2 text-ink-3"
        />
        <input
          type="search"
          className="field !pl-8"
          aria-label={t("filter.find")}
          placeholder={t("filter.find")}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <ul className="mt-2 max-h-56 divide-y overflow-y-auto rounded-lg border">
        {shown.map((document) => (
          <li key={document.id}>
            <label className="flex items-center gap-2.5 px-3 py-2 text-sm hover:bg-ink/5">
              <input
                type="checkbox"
                className="size-4 shrink-0"
                checked={chosen.includes(document.id)}
                onChange={() => onChange(toggled(chosen, document.id))}
              />
              <span className="min-w-0 truncate" title={document.path}>
                {document.title || document.path}
              </span>
            </label>
          </li>
        ))}
        {shown.length === 0 && <li className="px-3 py-2 text-sm text-ink-3">{t("filter.none")}</li>}
      </ul>
    </Group>
  );
}

interface PillsProps {
  label: string;
  options: [string, number][];
  name?: (value: string) => string;
  chosen: string[];
  onChange: (chosen: string[]) => void;
}

function Pills({ label, options, name = (value) => value, chosen, onChange }: PillsProps) {
  return (
    <Group label={label}>
      <div className="flex flex-wrap gap-2">
        {options.map(([value, count]) => {
          const on = chosen.includes(value);
          return (
            <button
              key={value}
              type="button"
              aria-pressed={on}
              onClick={() => onChange(toggled(chosen, value))}
              className={`h-9 rounded-full border px-3.5 text-sm ${on ? "border-accent bg-tint font-medium text-accent" : "text-ink-2 hover:border-line-2"}`}
            >
              {name(value)} <span className="text-ink-3">{count}</span>
            </button>
          );
        })}
      </div>
    </Group>
  );
}

interface RowProps {
  row: Condition;
  metadata: ReadonlyMap<string, readonly string[]>;
  onChange: (part: Partial<Condition>) => void;
  onRemove: () => void;
}

function ConditionRow({ row, metadata, onChange, onRemove }: RowProps) {
  const { t } = useTranslation();
  const list = useId();
  return (
    <div className="flex items-center gap-2">
      <select
        className="field min-w-0 !flex-1"
        aria-label={t("filter.key")}
        value={row.key}
        onChange={(event) => onChange({ key: event.target.value, value: "" })}
      >
        {[...metadata.keys()].map((key) => (
          <option key={key}>{key}</option>
        ))}
      </select>
      <select
        className="field !w-28 shrink-0"
        aria-label={t("filter.op")}
        value={row.op}
        onChange={(event) => onChange({ op: event.target.value as ConditionOp })}
      >
        {conditionOps.map((op) => (
          <option key={op} value={op}>
            {t(`filter.ops.${op}`)}
          </option>
        ))}
      </select>
      <input
        className="field min-w-0 !flex-1"
        aria-label={t("filter.value")}
        list={list}
        value={row.value}
        onChange={(event) => onChange({ value: event.target.value })}
      />
      <datalist id={list}>
        {metadata.get(row.key)?.map((value) => (
          <option key={value} value={value} />
        ))}
      </datalist>
      <button
        type="button"
        className="icon-button shrink-0"
        aria-label={t("filter.remove")}
        onClick={onRemove}
      >
        <X size={16} aria-hidden="true" />
      </button>
    </div>
  );
}
