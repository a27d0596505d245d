/** The address of one thing in the host's API, which may be below a path: `https://host/paperclip`. */
export function apiUrlOf(apiUrl: string, path: string): string {
  return `${apiUrl.trim().replace(/\/+$/, "")}/api/${path}`;
}
