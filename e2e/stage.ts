/** What the cases share: the table, the server, the company, the cluster. */
import type { ClusterView } from "./cluster/cluster-view.js";
import type { Kubectl } from "./cluster/kubectl.js";
import type { GitHub } from "./host/github.js";
import type { PaperclipServer } from "./host/server.js";
import type { Options } from "./options.js";
import type { Company } from "./paperclip/company.js";
import type { Pictures } from "./pictures.js";
import { readLog, type Run, runEnded, textOf } from "./paperclip/run.js";
import type { Table } from "./table.js";

/** Where the cases play. */
export class Stage {
  constructor(
    readonly options: Options,
    readonly table: Table,
    readonly cluster: ClusterView,
    readonly company: Company,
    /** `null`: the server belongs to somebody else. */
    readonly server: PaperclipServer | null,
    readonly pictures: Pictures,
    readonly kubectl: Kubectl,
    /** The stand-in for it. */
    readonly gitHub: GitHub,
    /** The package's folder. */
    readonly root: string,
  ) {}

  /** Looks at one thing. A throw is a failed row. */
  async check(what: string, expected: string, look: () => Promise<Finding> | Finding): Promise<void> {
    const started = performance.now();
    let finding: Finding;
    try {
      finding = await look();
    } catch (error) {
      finding = { ok: false, seen: error instanceof Error ? error.message : String(error) };
    }
    this.table.add({ what, expected, ...finding, seconds: (performance.now() - started) / 1000 });
  }

  /** A thing that cannot be looked at here. */
  skip(what: string, expected: string, why: string): void {
    this.table.add({ what, expected, seen: why, ok: null, seconds: 0 });
  }

  /** The record and the log of a run that has ended. */
  async ended(runId: string, seconds?: number): Promise<EndedRun> {
    const run = await runEnded(this.company.api, runId, seconds);
    const log = await readLog(this.company.api, runId);
    return { run, stdout: textOf(log, "stdout"), stderr: textOf(log, "stderr") };
  }
}

/** What was seen, and whether it is right. */
interface Finding {
  seen: string;
  ok: boolean | null;
}

/** A run that has ended, with its output. */
export interface EndedRun {
  run: Run;
  stdout: string;
  stderr: string;
}

/** How a run ended, in a few words. */
export function describe({ status, errorCode, error, exitCode }: Run): string {
  if (status === "succeeded") return `succeeded, exit ${exitCode}`;
  return `${status} ${errorCode ?? "without a code"}: ${error ?? "no message"}`;
}

/** The tokens that Paperclip has for a run. */
export function usageOf({ usageJson }: Run): string {
  const { inputTokens, cachedInputTokens, outputTokens } = (usageJson ?? {}) as Record<string, number>;
  return `${inputTokens} in, ${cachedInputTokens} cached, ${outputTokens} out`;
}
