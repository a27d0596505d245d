/**
 * The last guard against orphans: a shell in a session of its own that knows the process groups of all containers, and
 * kills them when the pipe to this process breaks, however this process ended.
 */

import { type ChildProcess, spawn } from "node:child_process";

// `kill -- -N` would be cleaner, but dash does not know it.
const SCRIPT = `
groups=
while read -r verb group; do
  case $verb in
    +) groups="$groups $group" ;;
    -) kept=; for g in $groups; do [ "$g" = "$group" ] || kept="$kept $g"; done; groups=$kept ;;
  esac
done
for g in $groups; do kill -KILL "-$g" 2>/dev/null; done
`;

export class Reaper {
  readonly #shell: ChildProcess;

  constructor() {
    this.#shell = spawn("/bin/sh", ["-c", SCRIPT], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
    this.#shell.stdin!.on("error", () => {});
    this.#shell.unref();
  }

  adopt(group: number): void {
    this.#shell.stdin!.write(`+ ${group}\n`);
  }

  release(group: number): void {
    this.#shell.stdin!.write(`- ${group}\n`);
  }

  /** Kills whatever is still adopted. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#shell.exitCode !== null || this.#shell.signalCode !== null) return resolve();
      this.#shell.once("exit", () => resolve());
      this.#shell.stdin!.end();
    });
  }
}
