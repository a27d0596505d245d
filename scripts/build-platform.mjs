// `npm run build:platform -- NAME…`: the release binaries of the named platforms, as they are published.

import { checkPrerequisites, installPackages } from "./prerequisites.mjs";
import { buildBinary, complaints, inspectBinary } from "./pack/binary.mjs";
import { platformNamed } from "./pack/platforms.mjs";

checkPrerequisites();
installPackages();
try {
  const wanted = process.argv.slice(2).map(platformNamed);
  if (wanted.length === 0) throw new Error("name the platforms to build, for example linux-x64-gnu");
  for (const platform of wanted) {
    const { missing, seconds } = buildBinary(platform);
    if (missing) throw new Error(`${platform.name} cannot be built here: ${missing}`);
    const facts = inspectBinary(platform);
    const wrong = complaints(facts);
    if (wrong.length > 0) throw new Error(`the binary for ${platform.name} cannot be published: ${wrong.join("; ")}`);
    console.log(`${platform.name}: ${facts.megabytes.toFixed(2)} MB in ${seconds} s${facts.needed ? `, needs ${facts.needed.join(" ")}` : ""}${facts.glibc ? `, glibc ${facts.glibc}` : ""}`);
  }
} catch (error) {
  console.error(`build:platform: ${error.message}`);
  process.exitCode = 1;
}
