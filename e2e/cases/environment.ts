/** The environment test of the settings page. */
import type { Stage } from "../stage.js";

/** Green: no check is a warning or an error, but for a Secret that this cluster need not have. */
export async function environment(stage: Stage): Promise<void> {
  await stage.check("testEnvironment", "pass", async () => {
    const { status, checks } = await stage.company.testEnvironment();
    const bad = checks
      .filter(({ level }) => level !== "info")
      .map(({ code, level, message }) => `${level} ${code}: ${message}`);
    const rows = `${checks.length} checks`;
    return {
      seen: bad.length === 0 ? `${status}, ${rows}` : `${status}, ${rows}; ${bad.join("; ")}`,
      ok: status === "pass",
    };
  });
}
