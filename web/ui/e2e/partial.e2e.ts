// Documents of which something could not be read: what the page says of them, and how it has them read.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCollection, openBrowser } from "./browser";
import { mailWith, partlyScannedPDF } from "./documents";
import { type Docent, type ModelServer, startDocent, startModelServer } from "./server";

const shots = process.env.DOCENT_SCREENSHOTS ?? join("test-results", "screenshots");

const survey = partlyScannedPDF("The survey of the harbour was made in May, at low water.");

describe("documents that are partly read", () => {
  let browser: Browser;
  let page: Page;
  let model: ModelServer;
  let docent: Docent;
  let modelIsThere = false;

  const row = (name: string) => page.getByTestId("document").filter({ hasText: name });
  const shot = (name: string) => page.screenshot({ path: join(shots, `${name}.png`) });

  beforeAll(async () => {
    mkdirSync(shots, { recursive: true });
    model = await startModelServer(() => {
      if (!modelIsThere) throw new Error("not there");
      return { pieces: ["The fairway is eleven metres deep beside the mole."], pause: 0 };
    });
    docent = await startDocent([
      "--model-provider",
      "extractive",
      "--ocr",
      "vision",
      "--vision-url",
      model.url,
      "--vision-model",
      "scripted",
    ]);
    ({ browser, page } = await openBrowser());
    await createCollection(docent, "surveys");
    await page.goto(`${docent.url}/c/surveys/documents`);
  });
  afterAll(async () => {
    await browser?.close();
    await docent?.close();
    await model?.close();
  });

  it("says which pages have no text", async () => {
    await page.getByTestId("files").setInputFiles([
      { name: "survey.pdf", mimeType: "application/pdf", buffer: survey },
      {
        name: "letter.eml",
        mimeType: "message/rfc822",
        buffer: mailWith("Here is what we measured.", "soundings.pdf", survey),
      },
    ]);
    const pdf = row("survey.pdf").getByTestId("partial");
    await pdf.getByText("Partial", { exact: true }).waitFor();
    await pdf.getByText("1 of 2 pages has no text").waitFor();
    const mail = row("letter.eml").getByTestId("partial");
    await mail.getByText("Pages without text in soundings.pdf").waitFor();
    await shot("partial");
  });

  it("says so in the report", async () => {
    await row("letter.eml").getByRole("button", { name: "Report on" }).click();
    await page.getByTestId("report").getByText("soundings.pdf, page 2", { exact: true }).waitFor();
    await shot("partial-report");
    await page.keyboard.press("Escape");
  });

  it("has them recognised at a click", async () => {
    modelIsThere = true;
    for (const name of ["survey.pdf", "letter.eml"]) {
      await row(name).getByRole("button", { name: "Recognise the text of" }).click();
      await row(name).getByTestId("partial").waitFor({ state: "detached" });
    }
    await shot("recognized");
    const found = await fetch(
      `${docent.url}/api/collections/surveys/search?q=${encodeURIComponent("how deep is the fairway")}`,
    );
    expect(JSON.stringify(await found.json())).toContain("eleven metres deep");
  });

  it("says it in Chinese, on a phone", async () => {
    modelIsThere = false;
    await page.getByTestId("files").setInputFiles([
      {
        name: "again.eml",
        mimeType: "message/rfc822",
        buffer: mailWith("Once more.", "soundings-of-the-outer-harbour-in-may.pdf", survey),
      },
    ]);
    await row("again.eml").getByTestId("partial").waitFor();
    const context = await browser.newContext({
      viewport: { width: 390, height: 844 },
      locale: "zh-CN",
      reducedMotion: "reduce",
    });
    page = await context.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(`${docent.url}/c/surveys/documents`);
    await row("again.eml")
      .getByRole("button", { name: /识别.*的文字/ })
      .waitFor();
    await shot("phone-partial");
    const [content, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    expect(content).toBeLessThanOrEqual(screen ?? 0);
    await context.close();
  });
});
