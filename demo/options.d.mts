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
export const usage: string;

/** Reads the arguments; a text instead of options is to be printed. Throws with a sentence when they are wrong. */
export function readOptions(argv: string[], fixtures: string, columns?: number): DemoOptions | string;
