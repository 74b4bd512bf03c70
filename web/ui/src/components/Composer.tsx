import { ArrowUp, Bot, ChevronDown, ListFilter, SlidersHorizontal, Square } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { type KeyboardEvent, useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { countOf, everything } from "../lib/filter";
import { useFilters } from "../state/filters";
import { usePreferences } from "../state/preferences";
import { useInfo } from "../state/queries";
import { FilterDrawer } from "./FilterDrawer";
import { SettingsDrawer } from "./SettingsDrawer";

const styleNames = ["plain", "examples", "reasoning", "examples+reasoning"] as const;
type StyleName = (typeof styleNames)[number];

export interface Ask {
  question: string;
  style: string;
  agent: boolean;
}

interface Props {
  collection: string;
  answering: boolean;
  disabled?: boolean;
  onAsk: (ask: Ask) => void;
  onStop: () => void;
}

// Half-written questions, by collection and conversation, while the page is open.
const drafts = new Map<string, string>();

export function Composer({ collection, answering, disabled = false, onAsk, onStop }: Props) {
  const { t } = useTranslation();
  const [text, setText] = useState(() => drafts.get(collection) ?? "");
  const area = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const { data: info } = useInfo();
  const hasAgent = info?.agent !== false;
  const agent = usePreferences((state) => state.agent) && hasAgent;
  const setAgent = usePreferences((state) => state.setAgent);
  const chosen = usePreferences((state) => state.style);
  const setStyle = usePreferences((state) => state.setStyle);
  const chosenParts = countOf(useFilters((state) => state.choices[collection]) ?? everything);
  const [panel, setPanel] = useState<"filter" | "settings">();
  const styles = styleNames.filter((name) => info?.styles.includes(name));
  const style: StyleName = styles.find((name) => name === chosen) ?? "plain";

  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the text
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, innerHeight * 0.4)}px`;
  }, [text]);

  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current?.focus();
    function onKey(event: globalThis.KeyboardEvent) {
      const target = event.target as HTMLElement | null;
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (target?.closest("input, textarea, select, [contenteditable], [role=dialog], [role=menu]"))
        return;
      event.preventDefault();
      area.current?.focus();
    }
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  function change(value: string) {
    setText(value);
    drafts.set(collection, value);
  }

  function submit() {
    const question = text.trim();
    if (question === "" || answering || disabled) return;
    change("");
    onAsk({ question, style, agent });
  }

  function onKeyDown(event: KeyboardEvent) {
    // While an input method is composing, Enter takes the word it offers. Safari ends the composition
    // before the key arrives and marks it with code 229.
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    }
  }

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      className="rounded-2xl border border-line-2 bg-card shadow-float focus-within:border-accent"
    >
      <label htmlFor={id} className="sr-only">
        {t("chat.label")}
      </label>
      <textarea
        id={id}
        ref={area}
        rows={1}
        value={text}
        disabled={disabled}
        placeholder={t("chat.placeholder", { collection })}
        enterKeyHint="send"
        aria-describedby={`${id}-hint`}
        className="block max-h-[40vh] w-full resize-none bg-transparent px-4 pt-3.5 pb-1 text-base leading-relaxed outline-none"
        onChange={(event) => change(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="flex items-center gap-1 px-2 pb-2">
        {styles.length > 1 && !agent && (
          <DropdownMenu.Root>
            <DropdownMenu.Trigger
              className="flex h-9 items-center gap-1 rounded-lg px-2 text-sm text-ink-2 hover:bg-ink/5"
              aria-label={`${t("chat.style")}: ${t(`chat.styles.${style}`)}`}
            >
              {t(`chat.styles.${style}`)}
              <ChevronDown size={15} aria-hidden="true" />
            </DropdownMenu.Trigger>
            <DropdownMenu.Portal>
              <DropdownMenu.Content className="menu w-64 animate-rise" align="start" sideOffset={6}>
                <DropdownMenu.RadioGroup value={style} onValueChange={setStyle}>
                  {styles.map((name) => (
                    <DropdownMenu.RadioItem
                      key={name}
                      value={name}
                      className="menu-item data-[state=checked]:bg-tint"
                    >
                      <span className="leading-snug">
                        <span className="block font-medium">{t(`chat.styles.${name}`)}</span>
                        <span className="block text-xs text-ink-3">
                          {t(`chat.styleHints.${name}`)}
                        </span>
                      </span>
                    </DropdownMenu.RadioItem>
                  ))}
                </DropdownMenu.RadioGroup>
              </DropdownMenu.Content>
            </DropdownMenu.Portal>
          </DropdownMenu.Root>
        )}
        <button
          type="button"
          role="switch"
          aria-checked={agent}
          disabled={!hasAgent}
          title={hasAgent ? t("chat.agentHint") : t("chat.agentNeedsModel")}
          onClick={() => setAgent(!agent)}
          className={`flex h-9 items-center gap-1.5 rounded-lg px-2 text-sm ${agent ? "bg-tint font-medium text-accent" : "text-ink-2 enabled:hover:bg-ink/5 disabled:opacity-45"}`}
        >
          <Bot size={17} aria-hidden="true" />
          {t("chat.agent")}
        </button>
        <button
          type="button"
          onClick={() => setPanel("filter")}
          aria-label={
            chosenParts > 0 ? t("filter.active", { count: chosenParts }) : t("filter.title")
          }
          title={chosenParts > 0 ? t("filter.active", { count: chosenParts }) : t("filter.title")}
          className={`flex h-9 items-center gap-1 rounded-lg px-2 text-sm ${chosenParts > 0 ? "bg-tint font-medium text-accent" : "text-ink-2 hover:bg-ink/5"}`}
        >
          <ListFilter size={17} aria-hidden="true" />
          {chosenParts > 0 && chosenParts}
        </button>
        <button
          type="button"
          onClick={() => setPanel("settings")}
          aria-label={t("collectionSettings.searchTitle")}
          title={t("collectionSettings.searchTitle")}
          className="flex h-9 items-center rounded-lg px-2 text-ink-2 hover:bg-ink/5"
        >
          <SlidersHorizontal size={16} aria-hidden="true" />
        </button>
        {panel === "filter" && (
          <FilterDrawer collection={collection} onClose={() => setPanel(undefined)} />
        )}
        {panel === "settings" && (
          <SettingsDrawer collection={collection} search onClose={() => setPanel(undefined)} />
        )}
        <span id={`${id}-hint`} className="ml-auto hidden pr-2 text-xs text-ink-3 sm:block">
          {t("chat.hint")}
        </span>
        {answering ? (
          <button
            type="button"
            onClick={onStop}
            aria-label={t("chat.stop")}
            title={t("chat.stop")}
            className="ml-auto flex size-9 items-center justify-center rounded-xl bg-ink text-wall sm:ml-0"
          >
            <Square size={14} fill="currentColor" aria-hidden="true" />
          </button>
        ) : (
          <button
            type="submit"
            disabled={text.trim() === "" || disabled}
            aria-label={t("chat.send")}
            title={t("chat.send")}
            className="ml-auto flex size-9 items-center justify-center rounded-xl bg-accent text-on-accent disabled:bg-line disabled:text-ink-3 sm:ml-0"
          >
            <ArrowUp size={18} aria-hidden="true" />
          </button>
        )}
      </div>
    </form>
  );
}
