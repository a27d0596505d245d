/** The demo's command line. */
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

/** What to run. */
export interface DemoOptions {
  /** Name of a recording in fixtures/opencode. */
  scenario: string;
  /** A real opencode to run instead of a recording. */
  opencode: string | null;
  /** The adapter's entry to run; default the one that is built here. */
  adapter: string | null;
  /** `--model` of the run. */
  model: string;
  /** Replay this much faster than it was recorded. */
  speed: number;
  /** Keep the scratch folder. */
  keep: boolean;
}

/** Shown by `--help`. */
export const usage = `npm run demo -- [options]

  --scenario NAME   the recorded session that the pod replays (default multi-step-tools); --list shows all
  --opencode PATH   run this opencode binary instead; provider settings come from OPENCODE_* and *_API_KEY variables
  --adapter FILE    run this entry of an installed package instead of the one that is built here
  --model NAME      the model to ask for
  --speed N         replay N times as fast as recorded (default 1)
  --keep            keep the scratch folder
  --list            list the recorded sessions

The exit status is 0 when the run succeeded, 1 when it failed, 2 when the demo itself could not run.`;

/** Recordings that can be replayed. */
function scenarios(fixtures: string): string[] {
  return readdirSync(fixtures, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(fixtures, entry.name, "meta.json")))
    .map((entry) => entry.name);
}

/** Reads the arguments; a text instead of options is to be printed. */
export function readOptions(argv: string[], fixtures: string): DemoOptions | string {
  const { values } = parseArgs({
    args: argv,
    options: {
      scenario: { type: "string", default: "multi-step-tools" },
      opencode: { type: "string" },
      adapter: { type: "string" },
      model: { type: "string" },
      speed: { type: "string", default: "1" },
      keep: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return usage;
  if (values.list) return scenarios(fixtures).join("\n");
  const speed = Number(values.speed);
  if (!(speed > 0)) throw new Error(`--speed must be a positive number, it is ${values.speed}`);
  const [opencode, adapter] = [existing("opencode", values.opencode), existing("adapter", values.adapter)];
  if (opencode === null && !scenarios(fixtures).includes(values.scenario)) {
    throw new Error(`--scenario ${values.scenario} is not recorded; --list shows what is`);
  }
  return { scenario: values.scenario, opencode, adapter, model: values.model ?? "fake/x", speed, keep: values.keep };
}

function existing(option: string, value: string | undefined): string | null {
  if (value === undefined) return null;
  const path = resolve(value);
  if (!existsSync(path)) throw new Error(`--${option}: ${path} does not exist`);
  return path;
}
