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
const filter = ["--test", "it", "simulation::the_seeds", "--", "--exact", "--nocapture"];
run("cargo", ["test", "--locked", "--target", hostTriple(), ...filter]);
