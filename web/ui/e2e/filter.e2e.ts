// Which documents are asked, how they are searched, and why a passage was found.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCollection, openBrowser } from "./browser";
import { type Docent, startDocent } from "./server";

const shots = process.env.DOCENT_SCREENSHOTS ?? join("test-results", "screenshots");

const rules = (team: string, hours: string) =>
  `---\nteam: ${team}\n---\n\n# Opening hours of the ${team} office\n\nThe ${team} office opens at ${hours} on working days.\n`;

const documents = [
  { name: "north.md", text: rules("north", "seven") },
  { name: "south.md", text: rules("south", "nine") },
  { name: "办公时间.md", text: "# 办公时间\n\n东部办公室每天十点开门。\n" },
];

describe("filter", () => {
  let browser: Browser;
  let docent: Docent;
  let page: Page;

  const shot = (name: string) => page.screenshot({ path: join(shots, `${name}.png`) });
  const fits = async () => {
    const [content, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    expect(content).toBeLessThanOrEqual(screen ?? 0);
  };
  const ask = async (text: string) => {
    const before = await page.locator("[data-phase=done]").count();
    await page.getByRole("textbox", { name: "Question" }).fill(text);
    await page.keyboard.press("Enter");
    await page.locator("[data-phase=done]").nth(before).waitFor();
    return page.locator("[data-phase=done]").nth(before);
  };
  const filter = () => page.getByTestId("filter");

  beforeAll(async () => {
    mkdirSync(shots, { recursive: true });
    docent = await startDocent(["--model-provider", "extractive"]);
    ({ browser, page } = await openBrowser());
    await createCollection(docent, "offices");
    await page.goto(`${docent.url}/c/offices/documents`);
    await page.getByTestId("files").setInputFiles(
      documents.map(({ name, text }) => ({
        name,
        mimeType: "text/markdown",
        buffer: Buffer.from(text),
      })),
    );
    await page.waitForFunction(
      () => document.querySelectorAll("[data-testid=document]").length === 3,
      undefined,
      { timeout: 60_000 },
    );
    await page.goto(`${docent.url}/c/offices`);
  });
  afterAll(async () => {
    await browser?.close();
    await docent?.close();
  });

  it("answers from all documents at first, and says why passages were found", async () => {
    const answer = await ask("When does the office open?");
    const text = await answer.textContent();
    expect(text).toContain("north office");
    expect(text).toContain("south office");
    const why = await answer.getByTestId("why").allTextContents();
    expect(
      why.some((line) => /by meaning no\. \d+ \(0\.\d\d\) · by words no\. \d+/.test(line)),
    ).toBe(true);
    await shot("why-found");
  });

  it("answers from the documents that are chosen, without a mouse", async () => {
    await page.getByRole("button", { name: "Choose documents" }).focus();
    await page.keyboard.press("Enter");
    await filter().getByLabel("Find a document").fill("south");
    await filter().getByRole("checkbox", { name: "Opening hours of the south office" }).focus();
    await page.keyboard.press("Space");
    await shot("filter");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Documents chosen by 1 condition" }).waitFor();
    const text = await (await ask("When does the office open?")).textContent();
    expect(text).toContain("nine");
    await page.reload();
    await page.getByTestId("narrowed").waitFor();
    expect(text).not.toContain("north office");
  });

  it("combines conditions, and lets them go", async () => {
    await page.getByRole("button", { name: "Documents chosen by 1 condition" }).click();
    await page.getByRole("button", { name: "Ask all documents" }).click();
    await filter().getByRole("button", { name: "English" }).click();
    await page.getByRole("button", { name: "Add a condition" }).click();
    await filter().getByLabel("Detail", { exact: true }).selectOption("team");
    await filter().getByLabel("Value").fill("north");
    await filter().getByLabel("From", { exact: true }).fill("2020-01-01");
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Documents chosen by 3 conditions" }).waitFor();
    const text = await (await ask("When does the office open?")).textContent();
    expect(text).toContain("seven");
    expect(text).not.toContain("south office");
    await page.getByRole("button", { name: "Documents chosen by 3 conditions" }).click();
    await filter().getByLabel("to", { exact: true }).fill("2020-01-02");
    await page.getByRole("button", { name: "Done" }).click();
    const nothing = await ask("When does the office open?");
    expect(await nothing.textContent()).toContain("Not in the documents");
    await page.getByRole("button", { name: "Documents chosen by 4 conditions" }).click();
    await page.getByRole("button", { name: "Ask all documents" }).click();
    await page.keyboard.press("Escape");
  });

  it("searches as the settings say", async () => {
    await page.getByRole("button", { name: "How to search" }).click();
    const settings = page.getByTestId("settings");
    await settings.getByLabel("Search", { exact: true }).selectOption("keyword");
    await expect
      .poll(() => settings.getByLabel("Search", { exact: true }).inputValue())
      .toBe("keyword");
    await shot("search-settings");
    await page.keyboard.press("Escape");
    const why = await (await ask("When does the south office open?"))
      .getByTestId("why")
      .allTextContents();
    expect(why.length).toBeGreaterThan(0);
    for (const line of why) expect(line).toMatch(/^by words no\. \d+/);
  });

  it("fits a phone, and speaks Chinese", async () => {
    const context = await browser.newContext({
      viewport: { width: 390, height: 844 },
      locale: "zh-CN",
      reducedMotion: "reduce",
      hasTouch: true,
    });
    page = await context.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(`${docent.url}/c/offices`);
    await fits();
    await page.getByRole("button", { name: "选择文档" }).tap();
    await filter().getByRole("button", { name: "中文" }).tap();
    await filter().getByRole("button", { name: "添加条件" }).tap();
    await fits();
    await shot("phone-filter");
    await page.getByRole("button", { name: "完成" }).tap();
    await page.getByRole("button", { name: "如何检索" }).tap();
    await page.getByTestId("settings").getByText("半衰期").waitFor();
    await fits();
    await shot("phone-search-settings");
    await page.keyboard.press("Escape");
    await page.getByRole("textbox", { name: "问题" }).fill("办公室几点开门？");
    await page.getByRole("button", { name: "提问" }).tap();
    const answer = page.locator("[data-phase=done]").first();
    await answer.waitFor();
    expect(await answer.textContent()).toContain("十点");
    expect(await answer.textContent()).not.toContain("south office");
    await context.close();
  });
});
