/** The name with a citation on it. */
export function Wordmark() {
  return (
    <span className="inline-flex items-start font-serif text-[1.4rem] leading-none font-bold tracking-tight">
      docent
      <span
        aria-hidden="true"
        className="ml-0.5 rounded-[0.3em] bg-marker px-[0.35em] py-[0.2em] font-sans text-[0.42em] leading-none font-bold text-marker-ink"
      >
        1
      </span>
    </span>
  );
}
