/** Running other programs. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Gives the program's stdout; throws with the end of its stderr. */
export async function command(
  program: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs?: number; input?: string } = {},
): Promise<string> {
  const { timeoutMs = 600_000, input, ...rest } = options;
  try {
    const running = run(program, args, { ...rest, timeout: timeoutMs, maxBuffer: 64 << 20, encoding: "utf8" });
    running.child.stdin?.end(input);
    return (await running).stdout;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`${program} ${args.slice(0, 3).join(" ")} failed: ${stderr?.trim().slice(-800) || message}`, {
      cause: error,
    });
  }
}
