// localStorage that may be missing, full or forbidden: then a choice lasts until the page closes.

export function readStored(key: string): string | null {
  try {
    return localStorage.getItem(`docent.${key}`);
  } catch {
    return null;
  }
}

export function writeStored(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`docent.${key}`);
    else localStorage.setItem(`docent.${key}`, value);
  } catch {
    // Nothing to do.
  }
}

export function readStoredList(key: string): string[] {
  try {
    const parsed: unknown = JSON.parse(readStored(key) ?? "[]");
    return Array.isArray(parsed) ? parsed.filter((item) => typeof item === "string") : [];
  } catch {
    return [];
  }
}
