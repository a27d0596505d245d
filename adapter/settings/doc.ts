/** The page the host shows to people and agents who configure an agent of this type. */
// biome-ignore lint/style/noRestrictedImports: `npm run readme` writes it from the rows; it is data, not a room.
import lines from "../../src/config/agent-doc.json" with { type: "json" };

/** The document. */
export const agentConfigurationDoc: string = lines.join("\n");
