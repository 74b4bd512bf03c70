// Sizes, dates and places, in the reader's language.

export function formatBytes(bytes: number, language: string): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toLocaleString(language, { maximumFractionDigits: digits })} ${units[unit]}`;
}

/** A guess of seconds in the largest unit that fits, rounded up: "8 s", "3 min". */
export function formatSeconds(seconds: number, language: string): string {
  const [value, unit] =
    seconds < 60
      ? [Math.max(1, Math.ceil(seconds)), "second"]
      : seconds < 3600
        ? [Math.ceil(seconds / 60), "minute"]
        : [Math.ceil(seconds / 3600), "hour"];
  return value.toLocaleString(language, { style: "unit", unit, unitDisplay: "short" });
}

export type Period = "today" | "yesterday" | "week" | "older";

/** Which heading a conversation of that time stands under. */
export function periodOf(iso: string, now = new Date()): Period {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const at = Date.parse(iso);
  const day = 24 * 60 * 60 * 1000;
  if (at >= midnight) return "today";
  if (at >= midnight - day) return "yesterday";
  if (at >= midnight - 6 * day) return "week";
  return "older";
}

export function baseName(path: string): string {
  const name = path.replace(/[/\\]+$/, "");
  return name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1) || path;
}

export function folderOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at > 0 && !/^https?:\/\//.test(path) ? path.slice(0, at) : "";
}

export function hasChinese(text: string): boolean {
  return /[\u3400-\u9fff]/.test(text);
}

/** The questions to suggest: those in the reader's language first, at most `count`. */
export function pickQuestions(
  questions: readonly string[],
  chinese: boolean,
  count: number,
): string[] {
  const fitting = questions.filter((question) => hasChinese(question) === chinese);
  const others = questions.filter((question) => hasChinese(question) !== chinese);
  return spread(fitting.length > 0 ? fitting : others, count);
}

/** `count` items evenly taken from the list: neighbours in a list of questions are often alike. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  const picked: T[] = [];
  for (let i = 0; i < count; i++) {
    const item = items[Math.floor((i * items.length) / count)];
    if (item !== undefined) picked.push(item);
  }
  return picked;
}
