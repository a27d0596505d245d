/** Paperclip's HTTP API, as an operator's program would use it. */

/** An answer that is no success. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** A client of one server. */
export class Api {
  constructor(
    readonly url: string,
    private readonly key?: string,
  ) {}

  get<T>(path: string): Promise<T> {
    return this.call("GET", path);
  }

  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.call("POST", path, body);
  }

  patch<T>(path: string, body: unknown): Promise<T> {
    return this.call("PATCH", path, body);
  }

  delete<T>(path: string): Promise<T> {
    return this.call("DELETE", path);
  }

  /** The text of a file that the server serves. */
  async text(path: string): Promise<string> {
    const response = await fetch(this.url + path, { headers: this.headers() });
    if (!response.ok) throw new HttpError(response.status, `GET ${path}: HTTP ${response.status}`);
    return response.text();
  }

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...this.headers(), ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok)
      throw new HttpError(response.status, `${method} ${path}: HTTP ${response.status} ${text.slice(0, 500)}`);
    return (text === "" ? null : JSON.parse(text)) as T;
  }

  private headers(): Record<string, string> {
    return this.key === undefined ? {} : { authorization: `Bearer ${this.key}` };
  }
}
