import { Check, Monitor, Moon, Settings, Sun } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { languages, setLanguage } from "../i18n";
import { formatBytes } from "../lib/format";
import { type Theme, usePreferences } from "../state/preferences";
import { useInfo, useStatus } from "../state/queries";

const themes: { value: Theme; icon: typeof Sun }[] = [
  { value: "light", icon: Sun },
  { value: "dark", icon: Moon },
  { value: "system", icon: Monitor },
];

export function SettingsMenu() {
  const { t, i18n } = useTranslation();
  const theme = usePreferences((state) => state.theme);
  const setTheme = usePreferences((state) => state.setTheme);
  const { data: info } = useInfo();
  const [open, setOpen] = useState(false);
  const { data: status } = useStatus(open);
  const model = status?.model;
  const memory = model ? Object.values(model.memory).reduce((sum, bytes) => sum + bytes, 0) : 0;
  return (
    <DropdownMenu.Root open={open} onOpenChange={setOpen}>
      <DropdownMenu.Trigger className="icon-button" aria-label={t("app.settings")}>
        <Settings size={18} aria-hidden="true" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu w-60 animate-rise" align="start" sideOffset={6}>
          <DropdownMenu.Label className="eyebrow px-2.5 pt-1.5 pb-1">
            {t("settings.language")}
          </DropdownMenu.Label>
          <DropdownMenu.RadioGroup value={i18n.language} onValueChange={setLanguage}>
            {languages.map(({ code, name }) => (
              <DropdownMenu.RadioItem key={code} value={code} className="menu-item">
                <span lang={code === "zh" ? "zh-CN" : code} className="flex-1">
                  {name}
                </span>
                <DropdownMenu.ItemIndicator>
                  <Check size={16} aria-hidden="true" />
                </DropdownMenu.ItemIndicator>
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
          <DropdownMenu.Separator className="my-1.5 border-t" />
          <DropdownMenu.Label className="eyebrow px-2.5 pt-1 pb-1">
            {t("settings.theme")}
          </DropdownMenu.Label>
          <DropdownMenu.RadioGroup
            value={theme}
            onValueChange={(value) => setTheme(value as Theme)}
          >
            {themes.map(({ value, icon: Icon }) => (
              <DropdownMenu.RadioItem key={value} value={value} className="menu-item">
                <Icon size={16} aria-hidden="true" className="text-ink-3" />
                <span className="flex-1">{t(`settings.${value}`)}</span>
                <DropdownMenu.ItemIndicator>
                  <Check size={16} aria-hidden="true" />
                </DropdownMenu.ItemIndicator>
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
          {info && (
            <>
              <DropdownMenu.Separator className="my-1.5 border-t" />
              <dl className="grid grid-cols-[auto_1fr] gap-x-3 px-2.5 py-1 text-xs text-ink-3">
                <dt>{t("settings.model")}</dt>
                <dd className="text-ink-2">{info.model.name || info.model.provider}</dd>
                {model && (
                  <>
                    <dt>{t("settings.memory")}</dt>
                    <dd className="text-ink-2">
                      {t("settings.memoryNeed", { size: formatBytes(memory, i18n.language) })}
                    </dd>
                    <dt>{t("settings.atWork")}</dt>
                    <dd className="text-ink-2">
                      {t("settings.requests", {
                        running: model.requests.running,
                        waiting: model.requests.waiting,
                      })}
                    </dd>
                  </>
                )}
                <dt>{t("settings.encoder")}</dt>
                <dd className="text-ink-2">{info.encoder?.name ?? t("settings.keywordOnly")}</dd>
                <dd className="col-span-2 mt-1">
                  {t("settings.version", { version: info.version })}
                </dd>
              </dl>
            </>
          )}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
