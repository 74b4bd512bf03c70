import { create } from "zustand";
import { readStoredList, writeStored } from "../lib/storage";

interface Dismissed {
  dismissed: ReadonlySet<string>;
  dismiss: (ids: readonly string[]) => void;
}

/** Failed jobs that their reader has taken note of. */
export const useDismissed = create<Dismissed>((set, get) => ({
  dismissed: new Set(readStoredList("dismissed")),
  dismiss(ids) {
    const dismissed = new Set([...get().dismissed, ...ids]);
    writeStored("dismissed", JSON.stringify([...dismissed].slice(-500)));
    set({ dismissed });
  },
}));
