/** What a server of ours leaves on the shared volume. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Folders and files of Paperclip itself; the agents' own and the adapter's are not among them. */
const OF_PAPERCLIP = [
  "adapter-plugins",
  "adapter-plugins.json",
  "adapter-settings.json",
  ...["config.json", ".env", "db", "secrets", "workspaces", "companies", "projects", "logs", "data"].map((name) =>
    join("instances/default", name),
  ),
];

/** Throws when a Paperclip's data are there already: they would be used, and removed in the end. */
export function refuseForeignData(dataRoot: string): void {
  const found = OF_PAPERCLIP.filter((name) => existsSync(join(dataRoot, name)));
  if (found.length === 0) return;
  throw new Error(
    `a Paperclip's data lie in ${dataRoot} (${found.join(", ")}). Use another volume, or PAPERCLIP_URL for that server; ` +
      "if they are left from an end-to-end run that was killed, remove them",
  );
}

/** Removes it; only after {@link refuseForeignData} found none. */
export function removeServerData(dataRoot: string): void {
  for (const name of OF_PAPERCLIP) rmSync(join(dataRoot, name), { recursive: true, force: true });
}
