/** The configuration file that Paperclip's own setup would write: one person, this machine, a database of its own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

import { giveTo, type User } from "./user.js";

/** Writes the file below `home` and gives the port that the server will have. `serveUi`: it has pages, too. */
export async function writeServerConfig(home: string, user: User | null, serveUi: boolean): Promise<number> {
  const instance = join(home, "instances/default");
  for (const folder of [join(home, "instances"), instance]) {
    if (mkdirSync(folder, { recursive: true }) !== undefined) giveTo(user, folder);
  }
  const [port, databasePort] = [await freePort(), await freePort()];
  const file = join(instance, "config.json");
  writeFileSync(file, JSON.stringify(serverConfig(instance, { port, databasePort, serveUi }), null, 2));
  giveTo(user, file);
  return port;
}

interface Own {
  port: number;
  databasePort: number;
  serveUi: boolean;
}

function serverConfig(instance: string, { port, databasePort, serveUi }: Own): object {
  return {
    $meta: { version: 1, updatedAt: new Date().toISOString(), source: "onboard" },
    database: {
      mode: "embedded-postgres",
      embeddedPostgresDataDir: join(instance, "db"),
      embeddedPostgresPort: databasePort,
      backup: { enabled: false, intervalMinutes: 1440, retentionDays: 1, dir: join(instance, "data/backups") },
    },
    logging: { mode: "file", logDir: join(instance, "logs") },
    server: {
      deploymentMode: "local_trusted",
      exposure: "private",
      bind: "loopback",
      host: "127.0.0.1",
      port,
      allowedHostnames: [],
      serveUi,
    },
    auth: { baseUrlMode: "auto", disableSignUp: false },
    telemetry: { enabled: false },
    storage: {
      provider: "local_disk",
      localDisk: { baseDir: join(instance, "data/storage") },
      s3: { bucket: "paperclip", region: "us-east-1", prefix: "", forcePathStyle: false },
    },
    secrets: {
      provider: "local_encrypted",
      strictMode: false,
      localEncrypted: { keyFilePath: join(instance, "secrets/master.key") },
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
