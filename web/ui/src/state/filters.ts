// What questions are asked of, by collection, until the tab is closed.
import { create } from "zustand";
import { type Choice, everything } from "../lib/filter";

interface Filters {
  choices: Record<string, Choice>;
  setChoice: (collection: string, choice: Choice) => void;
}

const key = "docent.filters";

function stored(): Record<string, Choice> {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "{}");
  } catch {
    return {}; // forbidden: then a choice lasts until the page is read anew
  }
}

export const useFilters = create<Filters>((set) => ({
  choices: stored(),
  setChoice(collection, choice) {
    set((state) => {
      const choices = { ...state.choices, [collection]: choice };
      try {
        sessionStorage.setItem(key, JSON.stringify(choices));
      } catch {
        // as above
      }
      return { choices };
    });
  },
}));

export const choiceOf = (collection: string): Choice =>
  useFilters.getState().choices[collection] ?? everything;
