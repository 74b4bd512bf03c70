// The server counts bytes of UTF-8, JavaScript counts UTF-16 code units.

const step = 2048;

/**
 * Returns a function from a byte offset of text, as UTF-8, to the index of the same place in the
 * string. An offset inside a character gives the character's start; one past the end gives the
 * length. Building costs one pass; a look-up walks at most `step` code units.
 */
export function byteToIndex(text: string): (byte: number) => number {
  const checkpoints: number[] = [];
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    if (i % step === 0) checkpoints.push(bytes);
    bytes += unitBytes(text, i);
  }
  return (byte) => {
    if (byte <= 0) return 0;
    if (byte >= bytes) return text.length;
    let low = 0;
    let high = checkpoints.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((checkpoints[middle] ?? 0) <= byte) low = middle;
      else high = middle - 1;
    }
    let at = checkpoints[low] ?? 0;
    let i = low * step;
    while (i < text.length) {
      const width = unitBytes(text, i);
      if (at + width > byte) break;
      at += width;
      i++;
    }
    // A surrogate pair is one character: never point at its second half.
    return isLow(text, i) && isHigh(text, i - 1) ? i - 1 : i;
  };
}

/** The bytes that the code unit at i adds: the first half of a pair holds none, the second all four. */
function unitBytes(text: string, i: number): number {
  const unit = text.charCodeAt(i);
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  if (isHigh(text, i) && isLow(text, i + 1)) return 0;
  if (isLow(text, i) && isHigh(text, i - 1)) return 4;
  return 3;
}

function isHigh(text: string, i: number): boolean {
  const unit = text.charCodeAt(i);
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(text: string, i: number): boolean {
  const unit = text.charCodeAt(i);
  return unit >= 0xdc00 && unit <= 0xdfff;
}
