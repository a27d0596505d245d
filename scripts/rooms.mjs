// The rooms of `src`, and which rooms each may import. `npm run lint` compares the table with the `crate::` paths.
// `docs/design.md` has the same picture in words.

import { readdirSync, readFileSync } from "node:fs";

import { root } from "./prerequisites.mjs";

const engine = ["config", "manifest", "cluster", "tail"];
const follow = ["run/attached", "run/context", "run/failure", "run/host", "run/job", "run/seal", "run/timing"];

/** From the bottom up: a room imports only rooms that stand before it, so that there is no circle. */
const rooms = new Map([
  ["codes", []],
  ["ids", []],
  ["config", ["ids"]],
  ["opencode", ["ids"]],
  ["metrics", ["codes"]],
  ["observe", ["metrics"]],
  ["tail", []],
  ["manifest", ["codes", "config", "ids"]],
  ["cluster", ["config", "manifest", "metrics"]],
  ["run/clock", []],
  ["run/agent_lock", []],
  ["run/places", []],
  ["run/stop", []],
  ["run/timing", ["run/stop"]],
  ["run/outcome", ["codes", "opencode"]],
  ["run/failure", ["codes"]],
  ["run/report", ["run/failure", "run/outcome"]],
  ["run/redact", ["config", "opencode", "run/outcome"]],
  ["run/host", ["cluster", "manifest", "metrics", "opencode", "run/redact", "run/stop", "run/timing"]],
  ["run/request", ["cluster", "config", "manifest", "tail", "run/failure"]],
  ["run/volume", ["config", "manifest", "metrics", "tail", "run/failure", "run/timing"]],
  ["run/prompt_files", ["codes", "tail", "run/failure", "run/report", "run/request", "run/timing", "run/volume"]],
  ["run/seal", ["cluster", "manifest", "run/timing"]],
  ["run/server", ["cluster", "tail", "run/agent_lock", "run/clock", "run/places", "run/seal", "run/volume"]],
  ["run/job", ["cluster", "manifest", "tail", "run/clock", "run/seal", "run/stop", "run/timing", "run/volume"]],
  [
    "run/context",
    [
      ...engine,
      "run/failure",
      "run/job",
      "run/report",
      "run/request",
      "run/seal",
      "run/server",
      "run/stop",
      "run/timing",
      "run/volume",
    ],
  ],
  ["run/attached", ["config", "tail", "run/job"]],
  ["run/start", [...engine, ...follow, "run/volume"]],
  [
    "run/supervise",
    [...engine, ...follow, "metrics", "opencode", "run/outcome", "run/redact", "run/report", "run/stop"],
  ],
  ["run/recover", [...engine, ...follow, "metrics", "run/report", "run/server", "run/supervise", "run/volume"]],
  ["run/admit", [...engine, ...follow, "run/agent_lock", "run/places", "run/recover", "run/start", "run/volume"]],
  ["run", null],
  ["probe", ["cluster", "config", "manifest", "tail", "run/failure", "run/request", "run/server", "run/volume"]],
  ["quotas", ["cluster", "config", "run/request", "run/server"]],
  ["boundary", null],
]);

/** The imports that the table does not allow, one sentence each. */
export function forbiddenImports() {
  const found = circles();
  for (const file of readdirSync(`${root}src`, { recursive: true })) {
    const room = file.endsWith(".rs") && file !== "lib.rs" ? roomOf(file) : undefined;
    if (room === undefined) continue;
    if (!rooms.has(room)) {
      found.push(`src/${file} is in no room of scripts/rooms.mjs`);
      continue;
    }
    const allowed = rooms.get(room) ?? [...rooms.keys()];
    for (const imported of importsOf(readFileSync(`${root}src/${file}`, "utf8"))) {
      if (imported !== room && !allowed.includes(imported)) found.push(`src/${file} imports ${imported}`);
    }
  }
  return found;
}

function circles() {
  const names = [...rooms.keys()];
  return names.flatMap((room, place) =>
    (rooms.get(room) ?? [])
      .filter((imported) => names.indexOf(imported) >= place || !rooms.has(imported))
      .map((imported) => `scripts/rooms.mjs: ${imported} must stand before ${room}`),
  );
}

/** `run/host/log.rs` is in the room `run/host`, `tail/hub/mod.rs` in `tail`. */
function roomOf(file) {
  const [first, second] = file.replace(/(\/mod)?\.rs$/, "").split("/");
  return first === "run" && second !== undefined ? `run/${second}` : first;
}

/** The rooms that a file names; its own tests may name any. */
function importsOf(source) {
  const code = source
    .split(/^#\[cfg\((?:all\()?test.*\n(?:#\[[^\]]*\]\n)*mod \w+ \{/m)[0]
    .replaceAll(/^\s*\/\/.*$/gm, "");
  const paths = code.matchAll(/\bcrate::(\w+)(?:::(\w+))?/g);
  return new Set(
    [...paths].map(([, first, second]) => (first === "run" && rooms.has(`run/${second}`) ? `run/${second}` : first)),
  );
}
