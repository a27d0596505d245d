/** The built package as its users load it. Needs `npm run build`. */
import { createRequire } from "node:module";

import type * as Adapter from "../../adapter/index.js";

const require = createRequire(import.meta.url);

/** The main entry, loaded by Node itself and not by the test runner. */
export const adapter = require("../../dist/index.js") as typeof Adapter;

/** The generated loader of the addon. */
export const native = require("../../index.js") as typeof import("../../index.js");

/** The server's own pod in an ordinary deployment. */
export const selfPod: Adapter.JobBuildInput["selfPod"] = {
  namespace: "paperclip",
  image: "paperclip/paperclip:latest",
  imagePullSecrets: [],
  inheritedEnv: {},
  inheritedEnvValueFrom: [],
  inheritedEnvFrom: [],
  pvcClaimName: "paperclip-data",
  secretVolumes: [],
};
