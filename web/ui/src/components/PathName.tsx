import { baseName, folderOf } from "../lib/format";

/** A file's name with its folder before it; both yield where there is no room. */
export function PathName({ path }: { path: string }) {
  const folder = folderOf(path);
  return (
    <span className="flex min-w-0 items-baseline gap-1" title={path}>
      {folder && <span className="max-w-[40%] shrink truncate text-sm text-ink-3">{folder}/</span>}
      <span className="min-w-0 truncate font-medium">
        {/^https?:/.test(path) ? path : baseName(path)}
      </span>
    </span>
  );
}
