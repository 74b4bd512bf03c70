import { type KeyboardEvent, type PointerEvent, type ReactNode, useState } from "react";
import { readStored, writeStored } from "../lib/storage";

const narrowest = 340;

function clamp(width: number): number {
  return Math.round(Math.max(narrowest, Math.min(width, innerWidth * 0.6)));
}

/** The panel beside the chat; its left edge can be dragged, or moved with the arrow keys. */
export function SidePanel({ label, children }: { label: string; children: ReactNode }) {
  const [width, setWidth] = useState(() => clamp(Number(readStored("panel")) || innerWidth * 0.4));

  function change(next: number) {
    const clamped = clamp(next);
    setWidth(clamped);
    writeStored("panel", String(clamped));
  }

  function onPointerDown(event: PointerEvent<HTMLDivElement>) {
    event.currentTarget.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "ArrowLeft") change(width + 32);
    else if (event.key === "ArrowRight") change(width - 32);
    else return;
    event.preventDefault();
  }

  return (
    <aside aria-label={label} className="relative shrink-0 animate-fade border-l" style={{ width }}>
      {/* biome-ignore lint/a11y/useSemanticElements: a separator that can be moved has no element of its own */}
      <div
        role="separator"
        aria-orientation="vertical"
        aria-label={label}
        aria-valuenow={width}
        aria-valuemin={narrowest}
        tabIndex={0}
        onPointerDown={onPointerDown}
        onPointerMove={(event) => {
          if (event.currentTarget.hasPointerCapture(event.pointerId))
            change(innerWidth - event.clientX);
        }}
        onKeyDown={onKeyDown}
        className="absolute inset-y-0 -left-1 z-10 w-2 cursor-col-resize touch-none hover:bg-accent/20"
      />
      {children}
    </aside>
  );
}
