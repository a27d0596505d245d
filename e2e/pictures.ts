/** Pictures of Paperclip's pages as people see them, taken by Chromium without a window. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import type { Options } from "./options.js";
import type { Api } from "./paperclip/api.js";

const exec = promisify(execFile);

/** The page fetches its run and its log after it was loaded; a page that never rests is taken as it is by then. */
const SETTLE_MS = 20_000;
const LIMIT_MS = 120_000;

/** No window, no sandbox for root, and no request to anybody but the page's own server. */
const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--hide-scrollbars",
  "--window-size=1400,2000",
  `--virtual-time-budget=${SETTLE_MS}`,
];

/** What can be looked at. */
export interface Page {
  agentId: string;
  /** The page of one run; without it the agent's settings. */
  runId?: string;
}

/** A folder of pictures; does nothing where nobody asked for them. */
export class Pictures {
  private constructor(
    private readonly options: Options,
    private readonly server: string,
    private readonly companyPath: string,
  ) {}

  static async open(options: Options, api: Api, companyId: string): Promise<Pictures> {
    const { issuePrefix } = await api.get<{ issuePrefix: string }>(`/api/companies/${companyId}`);
    if (options.pictures) mkdirSync(options.pictures, { recursive: true });
    return new Pictures(options, api.url, `/${issuePrefix}`);
  }

  /** Writes `NAME.png`. A picture is no check: what Chromium cannot do is a line on stderr. */
  async take(name: string, { agentId, runId }: Page): Promise<void> {
    const { pictures, chromium } = this.options;
    if (!pictures) return;
    const page = `${this.server}${this.companyPath}/agents/${agentId}/${runId ? `runs/${runId}` : "configuration"}`;
    const profile = mkdtempSync(join(tmpdir(), "opencode-k8s-e2e-chromium-"));
    const file = join(pictures, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.png`);
    try {
      await exec(chromium, [...FLAGS, `--user-data-dir=${profile}`, `--screenshot=${file}`, page], {
        timeout: LIMIT_MS,
        killSignal: "SIGKILL",
      });
    } catch (error) {
      console.error(`no picture of ${page}: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`);
    } finally {
      rmSync(profile, { recursive: true, force: true });
    }
  }
}
