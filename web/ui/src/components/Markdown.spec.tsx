// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { MemoryRouter, useLocation } from "react-router";
import { afterEach, describe, expect, it } from "vitest";
import "../i18n";
import type { Source } from "../lib/place";
import { SourcesContext } from "./CitationChip";
import Markdown from "./Markdown";

const source: Source = {
  n: 1,
  document_id: "d1",
  document: "Handbook",
  path: "handbook.md",
  start: 10,
  end: 20,
  text: "fifteen days",
};

function Address() {
  const { search } = useLocation();
  return <output>{search}</output>;
}

function show(text: string) {
  return render(
    <MemoryRouter>
      <SourcesContext value={new Map([[1, source]])}>
        <Markdown text={text} />
      </SourcesContext>
      <Address />
    </MemoryRouter>,
  ).container;
}

afterEach(cleanup);

describe("Markdown", () => {
  it("makes a chip of a citation, which opens its place", () => {
    show("Fifteen days [1], not sixteen [7].");
    expect(screen.queryByText(/\[7\]/)).not.toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Source 1: Handbook" }));
    expect(screen.getByRole("status").textContent).toBe("?doc=d1&at=10-20");
  });

  it("shows raw HTML as text, and neither runs nor fetches anything", () => {
    const box = show(
      '<img src=x onerror="alert(1)"> <script>alert(1)</script>\n\n[go](javascript:alert(1)) ![p](https://example.com/p.png) <b>b</b>',
    );
    expect(box.querySelector("img, script, b, iframe")).toBeNull();
    for (const link of box.querySelectorAll("a")) {
      expect(link.getAttribute("href") ?? "").not.toMatch(/^javascript:/i);
      expect(link.rel).toContain("noopener");
    }
  });
});
