/** The built package as its users load it. Needs `npm run build`. */
import { createRequire } from "node:module";

import type * as Adapter from "../../adapter/index.js";

const require = createRequire(import.meta.url);

/** The main entry, loaded by Node itself and not by the test runner. */
export const adapter = require("../../dist/index.js") as typeof Adapter;

/** The generated loader of the addon. */
export const native = require("../../index.js") as typeof import("../../index.js");
