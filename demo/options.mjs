// The demo's command line. Plain JavaScript with Node's own modules only: `npm run demo -- --help` reads it before
// anything is installed.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

/** Shown by `--help`. */
export const usage = `npm run demo -- [options]

  --scenario NAME   the recorded session that the pod replays
                    (default multi-step-tools)
  --list            list the recorded sessions
  --opencode PATH   run this opencode binary instead; its provider's
                    settings come from OPENCODE_* and *_API_KEY
                    variables
  --adapter FILE    run this entry of an installed package instead
                    of the one that is built here
  --model NAME      the model to ask for
  --speed N         replay N times as fast as recorded (default 1)
  --keep            keep the scratch folder
  -h, --help        show this

The exit status is 0 when the run succeeded, 1 when it failed,
2 when the demo itself could not run.`;

const OPTIONS = {
  scenario: { type: "string", default: "multi-step-tools" },
  opencode: { type: "string" },
  adapter: { type: "string" },
  model: { type: "string", default: "fake/x" },
  speed: { type: "string", default: "1" },
  keep: { type: "boolean", default: false },
  list: { type: "boolean", default: false },
  help: { type: "boolean", default: false, short: "h" },
};

/** Reads the arguments; a text instead of options is to be printed. Throws with a sentence when they are wrong. */
export function readOptions(argv, fixtures, columns = Number.POSITIVE_INFINITY) {
  const values = parse(argv);
  if (values.help) return usage;
  const recordings = recorded(fixtures);
  const width = Math.max(...recordings.map(({ name }) => name.length));
  if (values.list) {
    return recordings.map(({ name, about }) => listed(name.padEnd(width), about, columns)).join("\n");
  }
  const speed = Number(values.speed);
  if (!(speed > 0)) throw new Error(`--speed must be a positive number, it is ${values.speed}`);
  const [opencode, adapter] = [existing("opencode", values.opencode), existing("adapter", values.adapter)];
  const names = recordings.map(({ name }) => name);
  if (opencode === null && !names.includes(values.scenario)) {
    const near = names.filter((name) => name.includes(values.scenario.slice(0, 5))).slice(0, 4);
    const advice = near.length > 0 ? `is it ${near.join(" or ")}?` : "--list shows what is";
    throw new Error(`--scenario ${values.scenario} is not recorded; ${advice}`);
  }
  return { scenario: values.scenario, opencode, adapter, model: values.model, speed, keep: values.keep };
}

function parse(args) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (error) {
    // Its first sentence; what follows is about arguments that begin with a dash.
    throw new Error(`${error.message.split(/\.\s/, 1)[0]}; --help shows the options`);
  }
}

/** Recordings that can be replayed, with what each shows. */
function recorded(fixtures) {
  return readdirSync(fixtures, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(fixtures, entry.name, "meta.json")))
    .map(({ name }) => ({
      name,
      about: JSON.parse(readFileSync(join(fixtures, name, "meta.json"), "utf8")).about ?? "",
    }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** One line; cut where a terminal ends. */
function listed(name, about, columns) {
  const line = `${name}  ${about}`.trimEnd();
  return line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
}

function existing(option, value) {
  if (value === undefined) return null;
  const path = resolve(value);
  if (!existsSync(path)) throw new Error(`--${option}: ${path} does not exist`);
  return path;
}
