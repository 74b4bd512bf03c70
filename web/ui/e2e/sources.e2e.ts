// Sources other than uploads: pages and sites of the web, watched folders, and the queue they go through.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCollection, openBrowser } from "./browser";
import { lockedPDF } from "./documents";
import { type Docent, startDocent } from "./server";

const shots = process.env.DOCENT_SCREENSHOTS ?? join("test-results", "screenshots");

/** A site of a few pages that link to one another. */
async function startSite(): Promise<{ server: Server; url: string }> {
  const pages: Record<string, string> = {
    "/": '<h1>Harbour</h1><p>The harbour opens at six in the morning.</p><a href="/dues">dues</a> <a href="/private/x">x</a>',
    "/dues": '<h1>Dues</h1><p>Fishing boats pay 14 crowns a night.</p><a href="/tides">tides</a>',
    "/tides": "<h1>Tides</h1><p>High water is at half past seven.</p>",
    "/private/x": "<h1>Private</h1><p>Nobody should read this.</p>",
  };
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    if (path === "/robots.txt") {
      response.end("User-agent: *\nDisallow: /private/\n");
      return;
    }
    const body = pages[path];
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.statusCode = body ? 200 : 404;
    response.end(`<html><body>${body ?? "nothing"}</body></html>`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe("sources", () => {
  let browser: Browser;
  let docent: Docent;
  let site: { server: Server; url: string };
  let page: Page;
  const watched = mkdtempSync(join(tmpdir(), "docent-watched-"));

  beforeAll(async () => {
    mkdirSync(shots, { recursive: true });
    site = await startSite();
    docent = await startDocent([
      "--model-provider",
      "extractive",
      "--allow-host",
      "127.0.0.1",
      "--watch-root",
      watched,
    ]);
    ({ browser, page } = await openBrowser());
    await createCollection(docent, "harbour");
    await page.goto(`${docent.url}/c/harbour/documents`);
  });

  afterAll(async () => {
    await browser?.close();
    await docent?.close();
    site?.server.closeAllConnections();
    site?.server.close();
    rmSync(watched, { recursive: true, force: true });
  });

  const documents = (count: number) =>
    page.waitForFunction(
      (wanted) => document.querySelectorAll("[data-testid=document]").length === wanted,
      count,
      { timeout: 60_000 },
    );

  it("goes through a site as the dialog says", async () => {
    await page.getByRole("button", { name: "Whole site…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Web address").fill(`${site.url}/`);
    await dialog.getByLabel("Links away").fill("1");
    await page.screenshot({ path: join(shots, "web dialog.png") });
    await dialog.getByRole("button", { name: "Add site" }).click();
    await dialog.waitFor({ state: "detached" });
    await documents(2); // the tides are two links away, the private page is not for crawlers
    expect(await page.getByText("Nobody should read this").count()).toBe(0);
  });

  it("says why an address inside is not fetched, and offers to try again", async () => {
    await page.getByLabel("Web address").fill("http://[::1]/");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    const problem = page.getByTestId("problem").filter({ hasText: "not public" });
    await problem.waitFor();
    await problem.getByRole("button", { name: /again/ }).waitFor();
  });

  it("halts the queue and a single file, and goes on", async () => {
    await fetch(`${docent.url}/api/queue/pause`, { method: "POST" });
    await page.getByTestId("files").setInputFiles(
      ["one", "two"].map((name) => ({
        name: `${name}.md`,
        mimeType: "text/markdown",
        buffer: Buffer.from(`# ${name}\n\nThe ${name} of the harbour.`),
      })),
    );
    await page.getByTestId("job").nth(1).waitFor();
    await page.getByText("Paused: nothing is read until you go on").waitFor();
    await page.getByRole("button", { name: "Pause two.md" }).click();
    await page.getByTestId("job").filter({ hasText: "Paused" }).waitFor();
    await page.screenshot({ path: join(shots, "queue paused.png") });
    await page.getByRole("button", { name: "Go on", exact: true }).first().click();
    await documents(3);
    await page.getByRole("button", { name: "Go on with two.md" }).click();
    await documents(4);
  });

  it("lets an empty queue go on", async () => {
    await fetch(`${docent.url}/api/queue/pause`, { method: "POST" });
    await page.reload();
    await page.getByText("Paused: nothing is read until you go on").waitFor();
    await page.screenshot({ path: join(shots, "empty queue paused.png") });
    await page.getByRole("button", { name: "Go on", exact: true }).click();
    await page.getByText("Paused: nothing is read").waitFor({ state: "detached" });
    expect(await page.getByTestId("flow").count()).toBe(0);
  });

  it("asks for the password of a locked PDF", async () => {
    await page.getByTestId("files").setInputFiles({
      name: "safe.pdf",
      mimeType: "application/pdf",
      buffer: lockedPDF("brass key", "The safe stands behind the chart table."),
    });
    const problem = page.getByTestId("problem").filter({ hasText: "safe.pdf" });
    const password = problem.getByLabel("Password of safe.pdf");
    await password.fill("wrong");
    await page.screenshot({ path: join(shots, "password.png") });
    await problem.getByRole("button", { name: "Open" }).click();
    await problem.getByText(/password.*(wrong|not)/i).waitFor();
    await password.fill("brass key");
    await problem.getByRole("button", { name: "Open" }).click();
    await documents(5);
    await problem.waitFor({ state: "detached" });
    const found = await fetch(`${docent.url}/api/collections/harbour/search?q=safe+chart+table`);
    expect(JSON.stringify(await found.json())).toContain("behind the chart table");
  });

  it("shows the links and the headings of a document", async () => {
    await page.getByTestId("files").setInputFiles({
      name: "links.md",
      mimeType: "text/markdown",
      buffer: Buffer.from(
        `# Pilots\n\nAsk [the **pilot** office](https://example.com/pilots), [write](mailto:pilot@example.com) or [run](javascript:window.hacked=1).\n\n${"More text.\n\n".repeat(200)}## Fees\n\n| what | where |\n|---|---|\n| fees | [table](https://example.com/fees) |\n`,
      ),
    });
    await documents(6);
    await page.getByRole("button", { name: /^Open (Pilots|links)/ }).click();
    const link = page.getByRole("link", { name: "the pilot office" });
    await link.waitFor();
    expect(await link.getAttribute("href")).toBe("https://example.com/pilots");
    expect(await link.getAttribute("rel")).toContain("noopener");
    expect(await page.getByRole("link", { name: "write" }).getAttribute("href")).toBe(
      "mailto:pilot@example.com",
    );
    expect(await page.getByRole("link", { name: "run" }).count()).toBe(0);
    await page.screenshot({ path: join(shots, "links.png") });
    await page.getByLabel("Contents").selectOption({ label: "\u2003Fees" });
    await page.getByRole("link", { name: "table" }).waitFor();
    await page.screenshot({ path: join(shots, "links outline.png") });
    await page.getByRole("button", { name: "Close the document" }).click();
  });

  it("watches a folder", async () => {
    const folder = page.getByRole("region", { name: "Watched folders" });
    await folder.getByLabel("Folder on the server").fill("/etc");
    await folder.getByRole("button", { name: "Watch", exact: true }).click();
    await folder.getByText(/outside the folders/).waitFor();
    await folder.getByLabel("Folder on the server").fill(watched);
    await folder.getByLabel("Only paths like").fill("*.md");
    await folder.getByRole("button", { name: "Watch", exact: true }).click();
    await folder.getByTestId("watch").waitFor();
    writeFileSync(join(watched, "log.md"), "# Log\n\nFog from noon on.");
    writeFileSync(join(watched, "ignored.txt"), "Not wanted.");
    await documents(7);
    await folder.getByText("1 file in step").waitFor();
    await page.screenshot({ path: join(shots, "watched folder.png"), fullPage: true });
    rmSync(join(watched, "log.md"));
    await documents(6);
    await folder.getByRole("button", { name: /Stop watching/ }).click();
    await folder.getByTestId("watch").waitFor({ state: "detached" });
  });

  it("fits a phone, in Chinese", async () => {
    const context = await browser.newContext({
      viewport: { width: 390, height: 844 },
      locale: "zh-CN",
      reducedMotion: "reduce",
    });
    const phone = await context.newPage();
    await phone.goto(`${docent.url}/c/harbour/documents`);
    await phone.getByRole("button", { name: "整个网站…" }).click();
    await phone.getByRole("dialog").waitFor();
    await phone.screenshot({ path: join(shots, "web dialog zh phone.png") });
    await phone.keyboard.press("Escape");
    const [content, screen] = await phone.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    expect(content).toBeLessThanOrEqual(screen ?? 0);
    await phone.screenshot({ path: join(shots, "documents zh phone.png"), fullPage: true });
    await context.close();
  });
});
