// Links of the package's own pages: they must lead to files of the package and to headings that are there.

import { posix } from "node:path";

/** The links that lead nowhere, as `page: link`. `files`: all files; `read`: the text of one. */
export function deadLinks(files, read) {
  const pages = files.filter((file) => file.endsWith(".md") && file !== "THIRD-PARTY-LICENSES.md");
  return pages.flatMap((page) =>
    linksOf(read(page))
      .filter((link) => !leadsSomewhere(page, link, files, read))
      .map((link) => `${page}: ${link}`),
  );
}

/** Targets of the links of a page that are no addresses. Code has no links. */
function linksOf(text) {
  const prose = text.replace(/^ *```[\s\S]*?^ *```/gm, "").replace(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link).filter((link) => !/^[a-z]+:/.test(link));
}

function leadsSomewhere(page, link, files, read) {
  const [path, anchor] = link.split("#");
  const file = path ? posix.join(posix.dirname(page), path) : page;
  const exists = files.some((known) => known === file || known.startsWith(`${file.replace(/\/$/, "")}/`));
  return exists && (anchor === undefined || anchorsOf(read(file)).has(anchor));
}

/** Anchors of the headings, as GitHub and npm make them. */
function anchorsOf(text) {
  const headings = text.matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .replace(/\s/g, "-"),
    ),
  );
}
