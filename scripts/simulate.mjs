// Simulates whole runs: `npm run simulate -- --seeds 10000 [--from 0]` prints the story of the first seed that fails,
// and the numbers of all that do; `npm run simulate -- --seed 72` prints the story of one.

import { parseArgs } from "node:util";

import { hostTriple, run } from "./prerequisites.mjs";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    seed: { type: "string" },
  },
});
const from = Number(values.seed ?? values.from);
const to = from + (values.seed === undefined ? Number(values.seeds) : 1);
if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && to > from)) {
  throw new Error("--seeds, --from and --seed take whole numbers");
}
process.env.SIMULATION_SEEDS = `${from}..${to}`;
if (values.seed !== undefined) process.env.SIMULATION_STORY = "1";
// With many seeds also all pairs of what can hang when a run is cancelled.
const tests = values.seed === undefined ? "simulation::" : "simulation::the_seeds";
const filter = ["--test", "it", tests, "--", "--nocapture"];
run("cargo", ["test", "--locked", "--profile", "simulate", "--target", hostTriple(), ...filter]);
