// `npm run build:platform -- NAME…`: the release binaries of the named platforms, as they are published.

import { checkPrerequisites, installPackages } from "./prerequisites.mjs";
import { buildBinary } from "./pack/binary.mjs";
import { platformNamed } from "./pack/platforms.mjs";

checkPrerequisites();
installPackages();
try {
  const wanted = process.argv.slice(2).map(platformNamed);
  if (wanted.length === 0) throw new Error("name the platforms to build, for example linux-x64-gnu");
  for (const platform of wanted) {
    const { missing, summary } = buildBinary(platform);
    if (missing) throw new Error(`${platform.name} cannot be built here: ${missing}`);
    console.log(summary);
  }
} catch (error) {
  console.error(`build:platform: ${error.message}`);
  process.exitCode = 1;
}
