import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { readStored, writeStored } from "./lib/storage";
import { en } from "./locales/en";
import { zh } from "./locales/zh";

export const languages = [
  { code: "en", name: "English" },
  { code: "zh", name: "简体中文" },
] as const;

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
    returnNull: false;
  }
}

function preferred(): string {
  const wanted = readStored("language") || navigator.language || "en";
  return wanted.toLowerCase().startsWith("zh") ? "zh" : "en";
}

i18next.use(initReactI18next).init({
  lng: preferred(),
  fallbackLng: "en",
  resources: { en: { translation: en }, zh: { translation: zh } },
  // React escapes what it renders.
  interpolation: { escapeValue: false },
});

function mirror(language: string) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : language;
}
mirror(i18next.language);
i18next.on("languageChanged", mirror);

export function setLanguage(code: string) {
  writeStored("language", code);
  i18next.changeLanguage(code);
}

export default i18next;
