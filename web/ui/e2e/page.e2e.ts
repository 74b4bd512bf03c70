import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { chinese, handbook, hostile } from "./documents";
import {
  type Docent,
  findChromium,
  type ModelServer,
  startDocent,
  startModelServer,
} from "./server";

const shots = process.env.DOCENT_SCREENSHOTS ?? join("test-results", "screenshots");
let browser: Browser;

beforeAll(async () => {
  mkdirSync(shots, { recursive: true });
  browser = await chromium.launch({
    executablePath: findChromium(),
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
});

afterAll(async () => {
  await browser?.close();
});

interface Visit {
  context: BrowserContext;
  page: Page;
  /** What the browser complained of; a test that expects none checks that it is empty. */
  complaints: string[];
  shot: (name: string) => Promise<void>;
}

async function visit(options: Parameters<Browser["newContext"]>[0] = {}): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: "en-US",
    reducedMotion: "reduce",
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  return {
    context,
    page,
    complaints,
    shot: async (name) => {
      await page.screenshot({ path: join(shots, `${name}.png`) });
    },
  };
}

const file = ({ name, mimeType, text }: typeof handbook) => ({
  name,
  mimeType,
  buffer: Buffer.from(text),
});

/** A browser test: a picture of the page is kept when it fails. */
function test(name: string, visited: () => Visit, run: (visit: Visit) => Promise<void>) {
  it(name, async () => {
    const here = visited();
    onTestFailed(() => here.shot(`failed ${name.replaceAll(/[^a-z0-9]+/gi, "-")}`));
    await run(here);
  });
}

const question = (page: Page) => page.locator("main textarea");

async function ask(page: Page, text: string) {
  const before = await page.locator("article").count();
  await question(page).fill(text);
  await question(page).press("Enter");
  await page.locator("article").nth(before).waitFor();
}

async function answered(page: Page) {
  await page.locator('article[data-phase="done"]').last().waitFor();
}

async function settled(page: Page, documents: number) {
  await page.waitForFunction(
    (wanted) =>
      document.querySelectorAll("[data-testid=document]").length === wanted &&
      document.querySelector("[data-testid=job]") === null,
    documents,
    { timeout: 60_000 },
  );
}

/** Nothing may stick out to the right of a narrow screen. */
async function fits(page: Page) {
  const [content, screen] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  expect(content).toBeLessThanOrEqual(screen ?? 0);
}

describe("without a language model", () => {
  let docent: Docent;
  let here: Visit;

  beforeAll(async () => {
    docent = await startDocent(["--model-provider", "extractive"]);
    here = await visit();
  });
  afterAll(async () => {
    await here?.context.close();
    await docent?.close();
  });

  test(
    "welcomes and creates a collection",
    () => here,
    async ({ page, shot }) => {
      await page.goto(docent.url);
      await page.getByRole("heading", { name: "Ask your documents." }).waitFor();
      await shot("welcome");
      await page.getByRole("button", { name: "New collection" }).first().click();
      await page.getByLabel("Name of the collection").fill("lighthouse");
      await page.getByRole("button", { name: "Create" }).click();
      await page.waitForURL("**/c/lighthouse/documents");
      await page.getByTestId("files").waitFor({ state: "attached" });
    },
  );

  test(
    "refuses a second collection of that name, and says so",
    () => here,
    async ({ page }) => {
      await page.getByRole("button", { name: "New collection" }).click();
      await page.getByLabel("Name of the collection").fill("lighthouse");
      await page.getByRole("button", { name: "Create" }).click();
      await page
        .getByRole("alert")
        .filter({ hasText: "There is one of that name already." })
        .waitFor();
      await page.keyboard.press("Escape");
      here.complaints.length = 0; // Chromium logs the 409 itself.
    },
  );

  test(
    "takes in files, with progress, and lists them",
    () => here,
    async ({ page, shot }) => {
      await page.getByTestId("files").setInputFiles([file(handbook), file(chinese), file(hostile)]);
      await settled(page, 3);
      await page.getByText(chinese.name).waitFor();
      await shot("documents");
    },
  );

  test(
    "shows how far a long file is, and forgets it when cancelled",
    () => here,
    async ({ page, shot }) => {
      const text = Array.from(
        { length: 8000 },
        (_, i) => `Entry ${i}: the lamp was trimmed and the log was signed at ${i % 24} hours.`,
      ).join("\n\n");
      await page
        .getByTestId("files")
        .setInputFiles([file({ name: "logbook.md", mimeType: "text/markdown", text })]);
      const job = page.getByTestId("job").filter({ hasText: "logbook.md" });
      const bar = job.getByRole("progressbar");
      await bar.waitFor();
      const share = async () => Number(await bar.getAttribute("aria-valuenow"));
      await expect.poll(share, { timeout: 60_000 }).toBeGreaterThan(20);
      const early = await share();
      await shot("progress");
      await expect.poll(share, { timeout: 60_000 }).toBeGreaterThan(early);
      await job.getByRole("button", { name: "Cancel" }).click();
      await page.getByTestId("problem").filter({ hasText: "Cancelled" }).waitFor();
      await page.getByRole("button", { name: "Dismiss" }).click();
      await settled(page, 3);
    },
  );

  test(
    "says that a file is there already",
    () => here,
    async ({ page }) => {
      await page.getByTestId("files").setInputFiles([file(handbook)]);
      await page.getByTestId("problem").filter({ hasText: "Already there, unchanged" }).waitFor();
      await page.getByRole("button", { name: "Dismiss" }).click();
      await settled(page, 3);
    },
  );

  test(
    "says why a file could not be read, and keeps the others",
    () => here,
    async ({ page, shot }) => {
      await page.getByTestId("files").setInputFiles([
        {
          name: "broken.pdf",
          mimeType: "application/pdf",
          buffer: Buffer.from("%PDF-1.7\nbroken"),
        },
      ]);
      const problem = page.getByTestId("problem").filter({ hasText: "broken.pdf" });
      await problem.waitFor();
      await shot("problem");
      expect(await page.getByTestId("document").count()).toBe(3);
      await problem.getByRole("button", { name: "Dismiss" }).click();
      await problem.waitFor({ state: "detached" });
    },
  );

  test(
    "takes files dropped anywhere",
    () => here,
    async ({ page }) => {
      await page.goto(`${docent.url}/c/lighthouse`);
      await question(page).waitFor();
      const transfer = await page.evaluateHandle(() => {
        const data = new DataTransfer();
        data.items.add(
          new File(["# Tides\n\nHigh water is at six."], "tides.md", { type: "text/markdown" }),
        );
        return data;
      });
      await page.dispatchEvent("main", "dragenter", { dataTransfer: transfer });
      await page.getByText("Drop to add to").waitFor();
      await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
      await page.waitForURL("**/documents");
      await settled(page, 4);
    },
  );

  test(
    "answers with a citation that opens the highlighted passage",
    () => here,
    async ({ page, shot }) => {
      await page.goto(`${docent.url}/c/lighthouse`);
      await ask(page, "Where does the brass key hang?");
      await answered(page);
      await page.waitForURL("**/chat/*");
      await page.getByText("No language model is installed").waitFor();
      await shot("answer");
      await page.getByTestId("answer").locator(".cite").first().click();
      const quoted = page.getByTestId("quoted").first();
      await quoted.waitFor();
      const text = await page.getByTestId("quoted").allInnerTexts();
      expect(text.join(" ")).toContain("behind the kitchen door");
      expect(handbook.text).toContain(text[0]?.trim());
      await expect.poll(() => quoted.isVisible()).toBe(true);
      await shot("citation");
    },
  );

  test(
    "keeps the conversation and the open passage over a reload and a restart",
    () => here,
    async ({ page }) => {
      await docent.restart();
      await page.reload();
      await page.getByTestId("answer").first().waitFor();
      await page.getByTestId("quoted").first().waitFor();
      await page.keyboard.press("Escape");
      await page.getByTestId("quoted").first().waitFor({ state: "detached" });
      await page.getByRole("heading", { name: "Where does the brass key hang?" }).waitFor();
    },
  );

  test(
    "speaks Chinese, and marks Chinese text after an emoji exactly",
    () => here,
    async ({ page, shot }) => {
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("menuitemradio", { name: "简体中文" }).click();
      await page.getByRole("link", { name: "新提问" }).click();
      await page.getByRole("heading", { name: "您想了解什么？" }).waitFor();
      expect(await page.evaluate(() => document.documentElement.lang)).toBe("zh-CN");
      await ask(page, "值班员每年有多少天年假？");
      await answered(page);
      await shot("answer-zh");
      await page.getByTestId("answer").locator(".cite").first().click();
      await page.getByTestId("quoted").first().waitFor();
      const text = (await page.getByTestId("quoted").allInnerTexts()).join("");
      expect(text).toContain("值班员每年享有十八天带薪年假");
      expect(text).not.toContain("年假规定值");
      await shot("citation-zh");
      await page.keyboard.press("Escape");
      await page.reload();
      await page.getByRole("link", { name: "新提问" }).waitFor();
    },
  );

  test(
    "does not send while an input method is composing",
    () => here,
    async ({ page }) => {
      await page.goto(`${docent.url}/c/lighthouse`);
      await question(page).fill("nian jia");
      await question(page).dispatchEvent("keydown", {
        key: "Enter",
        isComposing: true,
        bubbles: true,
      });
      await question(page).dispatchEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true });
      expect(await question(page).inputValue()).toBe("nian jia");
      expect(page.url()).toContain("/c/lighthouse");
      await question(page).press("Shift+Enter");
      expect(await question(page).inputValue()).toBe("nian jia\n");
      await question(page).fill("");
    },
  );

  test(
    "goes dark, and stays dark",
    () => here,
    async ({ page, shot }) => {
      await page.getByRole("button", { name: "设置" }).click();
      await page.getByRole("menuitemradio", { name: "English" }).click();
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("menuitemradio", { name: "Dark" }).click();
      await page.reload();
      await question(page).waitFor();
      expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
      await page.getByRole("link", { name: /brass key/ }).click();
      await page.getByTestId("answer").locator(".cite").first().click();
      await page.getByTestId("quoted").first().waitFor();
      await shot("dark");
      await page.keyboard.press("Escape");
    },
  );

  test(
    "shows what a hostile document says and runs none of it",
    () => here,
    async ({ page }) => {
      await page.goto(`${docent.url}/c/lighthouse`);
      await ask(page, "How much are the harbour dues for fishing boats?");
      await answered(page);
      await page.goto(`${docent.url}/c/lighthouse/documents`);
      await page.getByRole("button", { name: /^Open Harbour dues/ }).click();
      await page.getByText("14 crowns a night").first().waitFor();
      expect(await page.evaluate(() => "hacked" in window)).toBe(false);
    },
  );

  it("fits a phone", async () => {
    const phone = await visit({
      viewport: { width: 360, height: 740 },
      hasTouch: true,
      isMobile: true,
      deviceScaleFactor: 2,
    });
    const { page, shot } = phone;
    await page.goto(docent.url);
    await question(page).waitFor();
    await fits(page);
    await shot("phone-start");
    await ask(page, "How often does the fog horn sound?");
    await answered(page);
    await fits(page);
    await shot("phone-answer");
    await page.getByTestId("answer").locator(".cite").first().tap();
    await page.getByTestId("quoted").first().waitFor();
    await fits(page);
    await shot("phone-citation");
    await page.getByRole("button", { name: "Close the document" }).tap();
    await page.getByRole("button", { name: "Menu" }).tap();
    await page.getByRole("dialog").getByText("lighthouse").first().waitFor();
    await shot("phone-menu");
    await page.getByRole("link", { name: "Documents: lighthouse" }).tap();
    await page.getByTestId("document").first().waitFor();
    await fits(page);
    await shot("phone-documents");
    await phone.context.close();
  });

  test(
    "renames and deletes a conversation",
    () => here,
    async ({ page }) => {
      await page.goto(`${docent.url}/c/lighthouse`);
      const title = "Where does the brass key hang?";
      await page.getByRole("button", { name: `Actions for ${title}` }).click();
      await page.getByRole("menuitem", { name: "Rename" }).click();
      await page.getByLabel("Title").fill("Keys");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByRole("link", { name: "Keys" }).waitFor();
      await page.getByRole("button", { name: "Actions for Keys" }).click();
      await page.getByRole("menuitem", { name: "Delete" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByRole("link", { name: "Keys" }).waitFor({ state: "detached" });
    },
  );

  test(
    "deletes a document after asking",
    () => here,
    async ({ page }) => {
      await page.goto(`${docent.url}/c/lighthouse/documents`);
      await settled(page, 4);
      await page.getByRole("button", { name: /^Delete Tides/ }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await settled(page, 3);
    },
  );

  test(
    "offers the sample to a new collection and answers from it",
    () => here,
    async ({ page, shot }) => {
      await page.getByRole("button", { name: /^Delete collection: lighthouse/ }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByRole("button", { name: "Try the sample" }).click();
      await page.waitForURL("**/c/sample");
      const suggestion = page.getByRole("heading", { name: "For example" });
      await suggestion.waitFor();
      await page.goto(`${docent.url}/c/sample/documents`);
      await settled(page, 4);
      await page.goto(`${docent.url}/c/sample`);
      await suggestion.waitFor();
      await shot("sample");
      await ask(page, "How many days a week am I allowed to work from home?");
      await answered(page);
      await page.getByTestId("answer").getByText("three days a week").waitFor();
      await shot("sample-answer");
    },
  );

  test(
    "says when the server is gone, and recovers",
    () => here,
    async ({ page, shot }) => {
      await docent.halt();
      await ask(page, "Anybody there?");
      await page.getByRole("alert").filter({ hasText: "docent is not answering." }).waitFor();
      await shot("unreachable");
      await docent.restart();
      await page.getByRole("button", { name: "Try again" }).click();
      await answered(page);
      here.complaints.length = 0; // Chromium logs each refused connection.
    },
  );

  it("left no errors in the console", () => {
    expect(here.complaints).toEqual([]);
  });
});

describe("with a language model", () => {
  let model: ModelServer;
  let docent: Docent;
  let here: Visit;

  beforeAll(async () => {
    const words = (text: string) => text.split(/(?<=\s)/);
    model = await startModelServer((prompt) => {
      if (prompt.includes("Observation: 1350")) {
        return {
          pieces: words(
            "Thought: I know it.\nFinal Answer: The fog horn takes **1350 seconds** for 15 blasts [1].",
          ),
          pause: 5,
        };
      }
      if (/15 blasts/.test(prompt) && /Action Input/.test(prompt)) {
        return prompt.includes("Observation:")
          ? {
              pieces: words("Thought: 15 times 90.\nAction: calculator\nAction Input: 15 * 90"),
              pause: 5,
            }
          : {
              pieces: words(
                "Thought: I need the interval.\nAction: knowledge_search\nAction Input: fog signal interval",
              ),
              pause: 5,
            };
      }
      if (prompt.includes("Tell me everything")) {
        return { pieces: Array.from({ length: 600 }, (_, i) => `word${i} `), pause: 50 };
      }
      return {
        pieces: words(
          'Sound the fog signal **every 90 seconds** [1]:\n\n| Signal | Interval |\n|---|---|\n| Fog horn | 90 seconds |\n| Bell | 15 seconds |\n\n<b onclick="window.hacked = 1">raw</b> ![x](https://example.com/leak.png) and [99] stays out.',
        ),
        pause: 30,
      };
    });
    docent = await startDocent(["--model-provider", "openai", "--model-url", model.url]);
    here = await visit();
    const { page } = here;
    await page.goto(docent.url);
    await page.getByRole("button", { name: "New collection" }).first().click();
    await page.getByLabel("Name of the collection").fill("lighthouse");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByTestId("files").setInputFiles([file(handbook)]);
    await settled(page, 1);
  });
  afterAll(async () => {
    await here?.context.close();
    await docent?.close();
    await model?.close();
  });

  test(
    "streams an answer and renders its Markdown, but no HTML and no pictures",
    () => here,
    async ({ page, shot }) => {
      const requests: string[] = [];
      page.on("request", (request) => requests.push(request.url()));
      await page.goto(`${docent.url}/c/lighthouse`);
      await ask(page, "How often must the fog signal sound?");
      const lengths = new Set<number>();
      while ((await page.locator('article[data-phase="done"]').count()) === 0) {
        const texts = await page.getByTestId("answer").allInnerTexts();
        lengths.add(texts.join("").length);
        await page.waitForTimeout(60);
      }
      expect(lengths.size).toBeGreaterThan(3);
      const answer = page.getByTestId("answer");
      await answer.locator("table").waitFor();
      expect(await answer.locator("strong").textContent()).toBe("every 90 seconds");
      expect(await answer.locator("b, img, script").count()).toBe(0);
      expect(await answer.textContent()).not.toContain("[99]");
      expect(
        requests.filter((url) => !url.startsWith(docent.url) && !url.startsWith("blob:")),
      ).toEqual([]);
      await shot("model-answer");
    },
  );

  test(
    "stops when told to, keeps what came, and tells the model",
    () => here,
    async ({ page, shot }) => {
      const before = model.aborted();
      await ask(page, "Tell me everything, slowly.");
      await page.getByTestId("answer").last().getByText("word5").waitFor();
      await shot("streaming");
      await page.getByRole("button", { name: "Stop" }).click();
      await page.getByText("Stopped.").last().waitFor();
      const kept = await page.getByTestId("answer").last().textContent();
      expect(kept).toContain("word5");
      await expect.poll(() => model.aborted(), { timeout: 5_000 }).toBeGreaterThan(before);
      await page.reload();
      await page.getByTestId("answer").last().getByText("word5").waitFor();
    },
  );

  test(
    "stops with Escape",
    () => here,
    async ({ page }) => {
      await ask(page, "Tell me everything, slowly, again.");
      await page.getByTestId("answer").last().getByText("word3").waitFor();
      await page.keyboard.press("Escape");
      await page.getByText("Stopped.").last().waitFor();
    },
  );

  test(
    "shows the steps of the agent",
    () => here,
    async ({ page, shot }) => {
      await page.goto(`${docent.url}/c/lighthouse`);
      await page.getByRole("switch", { name: "Agent" }).click();
      await ask(page, "How many seconds do 15 blasts of the fog horn take?");
      await answered(page);
      await page.getByRole("button", { name: /steps?$/ }).click();
      await page.getByText("15 * 90").waitFor();
      await page.getByTestId("answer").getByText("1350 seconds").waitFor();
      await shot("agent");
      await page.getByRole("switch", { name: "Agent" }).click();
    },
  );

  test(
    "says when the model cannot be reached, and offers to try again",
    () => here,
    async ({ page, shot }) => {
      await model.close();
      await page.goto(`${docent.url}/c/lighthouse`);
      await ask(page, "How often does bread come?");
      await page
        .getByRole("alert")
        .filter({ hasText: "The language model could not be reached." })
        .waitFor();
      await page.getByRole("button", { name: "Try again" }).waitFor();
      await shot("model-unreachable");
    },
  );

  it("left no errors in the console", () => {
    expect(here.complaints).toEqual([]);
  });
});
