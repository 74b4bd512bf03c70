// What cleaning did to a file, and the settings of a collection that say what it shall do.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCollection, openBrowser } from "./browser";
import { type Docent, startDocent } from "./server";

const shots = process.env.DOCENT_SCREENSHOTS ?? join("test-results", "screenshots");

const note = `# Keeper's note

Ask ann@example.com about the lamp oil, or ring 13812345678 in the evening, when she is at home.

| . ; ~ _ l i " ' | -- . , : | / \\ ~ = . i ' " ;; | _ - . l ,
`;

describe("cleaning", () => {
  let browser: Browser;
  let docent: Docent;
  let page: Page;

  const upload = (name: string, text: string) =>
    page
      .getByTestId("files")
      .setInputFiles([{ name, mimeType: "text/markdown", buffer: Buffer.from(text) }]);
  const settled = (documents: number) =>
    page.waitForFunction(
      (wanted) =>
        document.querySelectorAll("[data-testid=document]").length === wanted &&
        document.querySelector("[data-testid=job]") === null,
      documents,
      { timeout: 60_000 },
    );
  const shot = (name: string) => page.screenshot({ path: join(shots, `${name}.png`) });
  const fits = async () => {
    const [content, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    expect(content).toBeLessThanOrEqual(screen ?? 0);
  };

  beforeAll(async () => {
    mkdirSync(shots, { recursive: true });
    docent = await startDocent(["--model-provider", "extractive"]);
    ({ browser, page } = await openBrowser());
    await createCollection(docent, "notes");
    await page.goto(`${docent.url}/c/notes/documents`);
  });
  afterAll(async () => {
    await browser?.close();
    await docent?.close();
  });

  it("reports what was left out and what is private", async () => {
    await upload("keeper.md", note);
    await settled(1);
    await page.getByRole("button", { name: "Report on" }).click();
    const report = page.getByTestId("report");
    await report.getByText("marks without words").waitFor();
    await report.getByText("E-mail addresses × 1").waitFor();
    await report.getByText("Phone numbers × 1").waitFor();
    expect(await report.textContent()).toContain("markdown");
    await shot("report");
    await page.getByRole("button", { name: "Close", exact: true }).click();
  });

  it("lists the same file once more without indexing it again", async () => {
    await upload("copy.md", note);
    await settled(2);
    await page.getByText("Same as another file").waitFor();
  });

  it("masks what the settings say, once the file is read anew", async () => {
    await page.getByRole("button", { name: "Settings of this collection" }).click();
    await page.getByLabel("E-mail addresses").selectOption("mask");
    await expect.poll(() => page.getByLabel("E-mail addresses").inputValue()).toBe("mask");
    await shot("collection-settings");
    await page.keyboard.press("Escape");

    const row = page.getByTestId("document").filter({ hasText: "keeper.md" });
    await row.getByRole("button", { name: "Report on" }).click();
    await page.getByRole("button", { name: "Read the file anew" }).click();
    await settled(2);
    await row.getByRole("button", { name: "Report on" }).click();
    await page.getByTestId("report").getByText("masked").waitFor();
    await page.keyboard.press("Escape");
  });

  it("reports on a file that failed", async () => {
    await page.getByRole("button", { name: "Settings of this collection" }).click();
    await page.getByLabel("Phone numbers").selectOption("refuse");
    await expect.poll(() => page.getByLabel("Phone numbers").inputValue()).toBe("refuse");
    await page.keyboard.press("Escape");
    await upload("refused.md", `${note}\nOne more line.\n`);
    const problem = page.getByTestId("problem").filter({ hasText: "refused.md" });
    await problem.getByRole("button", { name: "Report on" }).click();
    await page.getByTestId("report").getByText("1 × phone number").waitFor();
    await shot("report-failed");
    await page.keyboard.press("Escape");
  });

  it("fits a phone, and speaks Chinese", async () => {
    const context = await browser.newContext({
      viewport: { width: 390, height: 844 },
      locale: "zh-CN",
      reducedMotion: "reduce",
    });
    page = await context.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(`${docent.url}/c/notes/documents`);
    await page.getByRole("button", { name: "知识库设置" }).click();
    await page.getByTestId("settings").getByText("无意义的段落").waitFor();
    await fits();
    await shot("phone-collection-settings");
    await page.keyboard.press("Escape");
    await page.getByTestId("document").first().getByRole("button", { name: "处理报告" }).click();
    await page.getByTestId("report").waitFor();
    await fits();
    await shot("phone-report");
    await context.close();
  });
});
