/** The name with a citation on it. */
export function Wordmark({ large = false }: { large?: boolean }) {
  return (
    <span
      className={`inline-flex items-start font-serif leading-none font-bold tracking-tight ${large ? "text-4xl" : "text-[1.4rem]"}`}
    >
      docent
      <span
        aria-hidden="true"
        className={`ml-0.5 rounded-[0.3em] bg-marker px-[0.35em] py-[0.2em] font-sans leading-none font-bold text-marker-ink ${large ? "text-[0.3em]" : "text-[0.42em]"}`}
      >
        1
      </span>
    </span>
  );
}
