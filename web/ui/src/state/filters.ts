// What questions are asked of, by collection, while the page is open.
import { create } from "zustand";
import { type Choice, everything } from "../lib/filter";

interface Filters {
  choices: Record<string, Choice>;
  setChoice: (collection: string, choice: Choice) => void;
}

export const useFilters = create<Filters>((set) => ({
  choices: {},
  setChoice(collection, choice) {
    set((state) => ({ choices: { ...state.choices, [collection]: choice } }));
  },
}));

export const choiceOf = (collection: string): Choice =>
  useFilters.getState().choices[collection] ?? everything;
