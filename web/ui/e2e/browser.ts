// What the tests of single parts of the page begin with.
import { type Browser, chromium, type Page } from "playwright-core";
import { type Docent, findChromium } from "./server";

/** Opens a page as wide as a desk's screen, in English. */
export async function openBrowser(): Promise<{ browser: Browser; page: Page }> {
  const browser = await chromium.launch({
    executablePath: findChromium(),
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    locale: "en-US",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  return { browser, page };
}

/** Makes an empty collection. */
export async function createCollection(docent: Docent, name: string): Promise<void> {
  const response = await fetch(`${docent.url}/api/collections`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name }),
  });
  if (!response.ok) throw new Error(`collection ${name}: ${response.status}`);
}
