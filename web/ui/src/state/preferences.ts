import { create } from "zustand";
import { readStored, writeStored } from "../lib/storage";

export type Theme = "system" | "light" | "dark";

const darkQuery = matchMedia("(prefers-color-scheme: dark)");

function paint(theme: Theme) {
  const dark = theme === "dark" || (theme === "system" && darkQuery.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

function storedTheme(): Theme {
  const stored = readStored("theme");
  return stored === "light" || stored === "dark" ? stored : "system";
}

interface Preferences {
  theme: Theme;
  sidebar: boolean;
  style: string;
  agent: boolean;
  lastCollection: string | null;
  setTheme: (theme: Theme) => void;
  setSidebar: (open: boolean) => void;
  setStyle: (style: string) => void;
  setAgent: (agent: boolean) => void;
  setLastCollection: (name: string | null) => void;
}

export const usePreferences = create<Preferences>((set) => ({
  theme: storedTheme(),
  sidebar: readStored("sidebar") !== "closed",
  style: readStored("style") ?? "plain",
  agent: readStored("agent") === "on",
  lastCollection: readStored("collection"),
  setTheme(theme) {
    writeStored("theme", theme === "system" ? null : theme);
    paint(theme);
    set({ theme });
  },
  setSidebar(sidebar) {
    writeStored("sidebar", sidebar ? null : "closed");
    set({ sidebar });
  },
  setStyle(style) {
    writeStored("style", style);
    set({ style });
  },
  setAgent(agent) {
    writeStored("agent", agent ? "on" : null);
    set({ agent });
  },
  setLastCollection(lastCollection) {
    writeStored("collection", lastCollection);
    set({ lastCollection });
  },
}));

darkQuery.addEventListener("change", () => paint(usePreferences.getState().theme));
