// Files on their way to the server: found in a drop, grouped into requests.

export interface Dropped {
  file: File;
  /** Folders and name, with "/" between. */
  path: string;
}

const ignored = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\.git\/.*|__MACOSX\/.*|~\$[^/]*)$/i;

export function isJunk(path: string): boolean {
  return ignored.test(path);
}

/**
 * Groups files into requests of at most maxFiles and about maxBytes: one request a file would be slow
 * for a folder of thousands, one request for all would show nothing until the last byte.
 */
export function planUploads<T extends { file: { size: number } }>(
  files: readonly T[],
  { maxBytes = 8 << 20, maxFiles = 16 } = {},
): T[][] {
  const groups: T[][] = [];
  let group: T[] = [];
  let bytes = 0;
  for (const file of files) {
    if (group.length > 0 && (group.length >= maxFiles || bytes + file.file.size > maxBytes)) {
      groups.push(group);
      group = [];
      bytes = 0;
    }
    group.push(file);
    bytes += file.file.size;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}

export function fromInput(list: FileList): Dropped[] {
  return [...list]
    .map((file) => ({ file, path: file.webkitRelativePath || file.name }))
    .filter((dropped) => !isJunk(dropped.path));
}

/** All files of a drop, folders read to the bottom. Call it in the drop handler: the items expire. */
export async function fromDrop(transfer: DataTransfer): Promise<Dropped[]> {
  const entries: FileSystemEntry[] = [];
  const loose: File[] = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.();
    if (entry) entries.push(entry);
    else {
      const file = item.getAsFile();
      if (file) loose.push(file);
    }
  }
  const found: Dropped[] = loose.map((file) => ({ file, path: file.name }));
  for (const entry of entries) await collect(entry, found);
  return found.filter((dropped) => !isJunk(dropped.path));
}

async function collect(entry: FileSystemEntry, into: Dropped[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      (entry as FileSystemFileEntry).file(resolve, reject);
    });
    into.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A reader gives a folder in pieces (100 at a time in Chromium) and an empty one at the end.
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (batch.length === 0) return;
    for (const child of batch) await collect(child, into);
  }
}
