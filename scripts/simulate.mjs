// Simulates whole runs: `npm run simulate -- --seeds 10000 [--from 0]` prints the story of the first seed that fails,
// and the numbers of all that do; `npm run simulate -- --seed 72` prints the story of one, `--seed 72,79` takes some.

import { parseArgs } from "node:util";

import { hostTriple, run } from "./prerequisites.mjs";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    seed: { type: "string" },
  },
});
const from = Number(values.from);
const seeds = values.seed ?? `${from}..${from + Number(values.seeds)}`;
if (!/^\d+(\.\.\d+)?(,\d+(\.\.\d+)?)*$/.test(seeds)) {
  throw new Error("--seeds and --from take whole numbers, --seed takes such as 72 or 72,79,100..200");
}
process.env.SIMULATION_SEEDS = seeds;
if (/^\d+$/.test(seeds)) process.env.SIMULATION_STORY = "1";
// With many seeds also all pairs of what can hang when a run is cancelled.
const tests = values.seed === undefined ? "simulation::" : "simulation::the_seeds";
const filter = ["--test", "it", tests, "--", "--nocapture"];
run("cargo", ["test", "--locked", "--profile", "simulate", "--target", hostTriple(), ...filter]);
