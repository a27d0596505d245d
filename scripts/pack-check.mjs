// `npm run pack:check`: is what would be published fit to be installed? Builds the release binaries that this machine
// can build, packs them, and installs and runs the packages as an operator would.
//
//   --platforms A,B   build only these
//   --no-build        build nothing: take what is in build/native
//   --development     pack the development build of this checkout instead (no release build)
//   --packed          check build/packages as it is: what is tested is what is published

import { existsSync } from "node:fs";
import { parseArgs } from "node:util";

import { buildBinary } from "./pack/binary.mjs";
import { checkPackages } from "./pack/checks.mjs";
import { packDevelopment } from "./pack/development.mjs";
import { hostPlatform, platformNamed, platforms } from "./pack/platforms.mjs";
import { packAll, packedAlready } from "./pack/stage.mjs";
import { checkPrerequisites, installPackages, run } from "./prerequisites.mjs";

const { values: options } = parseArgs({
  options: {
    platforms: { type: "string" },
    "no-build": { type: "boolean" },
    development: { type: "boolean" },
    packed: { type: "boolean" },
  },
});
// What is packed needs no compiler.
if (!options.packed) checkPrerequisites();
installPackages();
try {
  const host = hostPlatform();
  // The demo and its cluster are of this checkout; the adapter that they run is the installed one.
  run(process.execPath, ["scripts/build.mjs", "--ts-only"]);
  const tarballs = options.packed
    ? packedAlready()
    : options.development
      ? packDevelopment()
      : packAll(releaseBinaries(host));
  await checkPackages(tarballs, host);
  console.log("pack:check: all well");
} catch (error) {
  console.error(`pack:check: ${error.message}`);
  process.exitCode = 1;
}

function releaseBinaries(host) {
  const wanted = options.platforms ? options.platforms.split(",").map(platformNamed) : platforms;
  const built = wanted.filter((platform) => {
    if (options["no-build"]) return existsSync(platform.file);
    const { missing, summary } = buildBinary(platform);
    console.log(missing ? `skipped ${platform.name}: ${missing}` : `built ${summary}`);
    return !missing;
  });
  if (!built.includes(host)) throw new Error(`without the binary for ${host.name} nothing can be run here`);
  return built;
}
