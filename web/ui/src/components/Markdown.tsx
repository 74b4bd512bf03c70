import { useContext, useMemo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { remarkCitations } from "../lib/citations";
import { CitationChip, SourcesContext } from "./CitationChip";

// Raw HTML in an answer is shown as text, never run: no rehype-raw here. Pictures are not fetched, as
// their addresses could carry the reader's documents away; their link is shown.
const components: Components = {
  cite: ({ node }) => (
    <CitationChip n={Number(node?.properties.dataN ?? node?.properties["data-n"])} />
  ),
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  ),
  img: ({ src, alt }) => (
    <a
      href={typeof src === "string" ? src : undefined}
      target="_blank"
      rel="noopener noreferrer nofollow"
    >
      {alt || String(src)}
    </a>
  ),
  table: ({ children }) => (
    <div className="scroll-x">
      <table>{children}</table>
    </div>
  ),
  pre: ({ children }) => <pre>{children}</pre>,
  input: ({ checked }) => <input type="checkbox" checked={checked === true} readOnly disabled />,
};

export default function Markdown({ text }: { text: string }) {
  const sources = useContext(SourcesContext);
  const numbers = [...sources.keys()].join();
  const known = useMemo(
    () => new Set(numbers === "" ? [] : numbers.split(",").map(Number)),
    [numbers],
  );
  return (
    <ReactMarkdown
      remarkPlugins={[remarkGfm, [remarkCitations, { known }]]}
      components={components}
    >
      {text}
    </ReactMarkdown>
  );
}
