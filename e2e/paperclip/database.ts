/** Paperclip's own database, for what its API only makes with the help of servers and providers that are not here. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

type Row = Record<string, unknown>;

interface Client {
  unsafe(text: string, values: unknown[]): Promise<Row[]>;
  end(): Promise<void>;
}

/** Inserts rows; `client` is the one that the server itself has. */
export class Database {
  private constructor(private readonly client: Client) {}

  /** `home`: the server's data; `program`: its entry. */
  static open(home: string, program: string): Database {
    const config = JSON.parse(readFileSync(join(home, "instances/default/config.json"), "utf8"));
    const port: number = config.database.embeddedPostgresPort;
    const connect = createRequire(program)("postgres") as (url: string, options: object) => Client;
    return new Database(connect(`postgres://paperclip:paperclip@127.0.0.1:${port}/paperclip`, { max: 1 }));
  }

  /** Gives the id of the new row. Objects become JSON. */
  async insert(table: string, row: Row): Promise<string> {
    const names = Object.keys(row);
    const places = names.map((_, i) => `$${i + 1}`);
    const text = `INSERT INTO ${table} (${names.join()}) VALUES (${places.join()}) RETURNING id`;
    const [made] = await this.client.unsafe(text, Object.values(row));
    return String(made?.["id"]);
  }

  /** Sets one column of one row. */
  async set(table: string, id: string, column: string, value: unknown): Promise<void> {
    await this.client.unsafe(`UPDATE ${table} SET ${column} = $1 WHERE id = $2`, [value, id]);
  }

  close(): Promise<void> {
    return this.client.end();
  }
}
