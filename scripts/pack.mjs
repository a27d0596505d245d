// `npm run pack`: build/packages/*.tgz, exactly what is published, of the binaries in build/native. Every platform must
// be there and fit to be published.

import { existsSync } from "node:fs";

import { complaints, inspectBinary } from "./pack/binary.mjs";
import { platforms } from "./pack/platforms.mjs";
import { packAll } from "./pack/stage.mjs";
import { installPackages, root, run } from "./prerequisites.mjs";

installPackages();
const missing = platforms.filter(({ file }) => !existsSync(file)).map(({ name }) => name);
const wrong = platforms
  .filter(({ file }) => existsSync(file))
  .flatMap((platform) => complaints(inspectBinary(platform)).map((text) => `${platform.name}: ${text}`));
if (missing.length > 0) wrong.push(`not built: ${missing.join(", ")} (npm run build:platform -- NAME)`);

if (wrong.length > 0) {
  console.error(`pack: ${wrong.join("\npack: ")}`);
  process.exitCode = 1;
} else {
  run(process.execPath, ["scripts/build.mjs", "--ts-only"]);
  for (const file of packAll(platforms)) console.log(file.slice(root.length));
}
