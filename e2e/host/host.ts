/** Everything around the cases: packages, Paperclip, the port for pods; opened in order, closed in the other one. */
import { ClusterView } from "../cluster.js";
import { command } from "../command.js";
import type { Options } from "../options.js";
import { Api } from "../paperclip/api.js";
import type { Table } from "../table.js";
import { Front } from "./front.js";
import { installPaperclip } from "./install.js";
import { packAll, type Packed } from "./packages.js";
import { openRegistry } from "./registry.js";
import { PaperclipServer } from "./server.js";
import { refuseForeignData, removeServerData } from "./server-data.js";

/** What is open. */
export interface Host {
  options: Options;
  api: Api;
  /** `null`: Paperclip belongs to somebody else. */
  server: PaperclipServer | null;
  cluster: ClusterView;
  /** The adapter as it is installed. */
  adapter: Packed;
  /** Ends everything and adds to the table what was left of it. */
  close(table: Table): Promise<void>;
}

/** Opens everything; what it opened is closed again when a step fails. */
export async function openHost(options: Options, root: string, scratch: string): Promise<Host> {
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const cluster = new ClusterView(options);
    await cluster.check();
    const [adapter, platform] = await packAll(root, scratch);
    const upstream = (await command("npm", ["config", "get", "registry"])).trim();
    const registry = await openRegistry([adapter, platform], upstream);
    closers.push(() => registry.close());
    const front = await Front.open(options.listen, options.port);
    closers.push(() => front.close());
    const server = options.paperclipUrl ? null : new PaperclipServer(options, await installPaperclip(options), scratch, registry.url);
    if (server) {
      refuseForeignData(options.dataRoot);
      closers.push(async () => {
        await server.stop();
        if (!options.keep) removeServerData(options.dataRoot);
      });
      await server.create();
    }
    front.paperclipUrl = options.paperclipUrl ?? server?.url;
    const api = new Api(front.paperclipUrl ?? "", options.paperclipKey);
    return { options, api, server, cluster, adapter, close: (table) => closeHost(table, server, closeAll) };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function closeHost(table: Table, server: PaperclipServer | null, closeAll: () => Promise<void>): Promise<void> {
  const started = performance.now();
  await closeAll();
  if (!server) return;
  const left = server.processes();
  table.add({
    what: "processes of the server after its end",
    expected: "none",
    seen: left.length === 0 ? "none" : `pids ${left.join(", ")}`,
    ok: left.length === 0,
    seconds: (performance.now() - started) / 1000,
  });
}
