// `npm run check`: everything that CI checks.

import { run } from "./prerequisites.mjs";

run(process.execPath, ["scripts/test.mjs"]);
run(process.execPath, ["scripts/compat.mjs"]);
run(process.execPath, ["scripts/lint.mjs"]);
run(process.execPath, ["scripts/pack-check.mjs", "--development"]);
