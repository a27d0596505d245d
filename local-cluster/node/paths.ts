/**
 * Text mapping: a container's absolute paths are folders elsewhere on this machine, so the mount paths in command,
 * args, env values and files of Secrets are rewritten. It needs no privilege and works on every system; it cannot reach
 * paths that a program builds itself, or that stand in other files.
 */

/** From the path in the manifest to the path on this machine. */
export type PathMap = Map<string, string>;

// Before a path: not the inside of another path or word (`x/paperclip`, `http://paperclip`, `$HOME/paperclip`).
const BEFORE = String.raw`(?<![\w./~})-])`;
// After it: a slash or an end, not the rest of a longer name (`/paperclip-old`, `/paperclip.bak`).
const AFTER = String.raw`(?![\w-]|\.\w)`;

const escapePattern = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

export function mapText(text: string, paths: PathMap): string {
  if (paths.size === 0) return text;
  const longestFirst = [...paths.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`${BEFORE}(?:${longestFirst.map(escapePattern).join("|")})${AFTER}`, "g");
  return text.replace(pattern, (path) => paths.get(path)!);
}
