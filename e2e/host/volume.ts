/** The folder behind the shared volume: ours for the time of the run. */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Makes the folder; throws when it holds anything, because all of it is removed in the end. */
export function claimVolume(dataRoot: string): void {
  const found = existsSync(dataRoot) ? readdirSync(dataRoot) : [];
  if (found.length > 0) {
    throw new Error(
      `${dataRoot} is not empty (${found.slice(0, 5).join(", ")}): E2E_DATA_ROOT must be a folder of this run's own`,
    );
  }
  mkdirSync(dataRoot, { recursive: true });
  chmodSync(dataRoot, 0o755);
}

/** Empties it. The folder itself stays: the cluster's node may have it mounted. */
export function emptyVolume(dataRoot: string): void {
  for (const name of readdirSync(dataRoot))
    rmSync(join(dataRoot, name), { recursive: true, force: true, maxRetries: 5 });
}
