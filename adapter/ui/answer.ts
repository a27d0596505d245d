/**
 * What a provider's answer says in words, as the addon tells it: of JSON, of what Python prints of the same, of XML
 * and of a web page.
 */
import { objectAt } from "./json-object.js";

/** A longer answer of a provider is no error in words. */
const MAX_CHARS = 16 * 1024;
const MAX_DEPTH = 9;

/** The fields of an answer that say something, in the addon's order; texts in texts are read, too. */
const SAID = (
  "message error_msg error_description status_msg faultstring error data detail details errors response fault " +
  "base_resp description msg title reason code name type"
).split(" ");

/** What an answer says; `""` where that is nothing. */
export function saidInAnswer(body: unknown, depth = 0): string {
  if (depth > MAX_DEPTH || body === undefined || body === null) return "";
  if (Array.isArray(body)) return firstSaid(body, depth);
  if (typeof body === "object") {
    const named = new Map(Object.entries(body).map(([name, value]) => [name.toLowerCase(), value]));
    const metadata: unknown = named.get("metadata");
    const raw = typeof metadata === "object" && metadata !== null && "raw" in metadata ? metadata.raw : undefined;
    return firstSaid([raw, ...SAID.map((name) => named.get(name))], depth);
  }
  const text = typeof body === "string" && body.length <= MAX_CHARS ? body.trim() : "";
  const document = /^[[{<]/.test(text) ? documentAt(text, 0) : null;
  if (document?.end === text.length) return saidInAnswer(document.value, depth + 1);
  return text.startsWith("{") ? "" : withoutDocuments(text, depth + 1);
}

function firstSaid(values: unknown[], depth: number): string {
  for (const value of values) {
    const said = saidInAnswer(value, depth + 1);
    if (said !== "") return said;
  }
  return "";
}

/** Where a document of a program begins: a bracket and a quote behind it, or an element of XML. */
const BEGINS = /\{\s*["']|<(?:\?xml|[\w:.-]*(?:error|response|fault|exception|envelope))/gi;

/** A text in which each document is replaced by what it says, and a web page by its title. */
export function withoutDocuments(text: string, depth = 0): string {
  if (text.length > MAX_CHARS || depth > MAX_DEPTH) return text;
  const page = /^([^"'{`]{0,80}?)(?:<!doctype html|<html)/i.exec(text);
  if (page) {
    const title = /<title[^<>]*>([^<]*)</i.exec(text)?.[1]?.trim() ?? "";
    return `${page[1]}a web page instead of an answer${title && `: ${title.slice(0, 200)}`}`;
  }
  let out = "";
  let shown = 0;
  let left = 2 * text.length;
  for (const { index } of text.matchAll(BEGINS)) {
    if (index < shown || left <= 0) continue;
    const document = documentAt(text, index);
    left -= (document?.end ?? text.length) - index;
    if (!document) continue;
    out += text.slice(shown, index) + (saidInAnswer(document.value, depth + 1) || "…");
    shown = document.end;
  }
  return out + text.slice(shown);
}

interface FoundDocument {
  value: unknown;
  end: number;
}

function documentAt(text: string, at: number): FoundDocument | null {
  if (text[at] === "<") return xmlAt(text, at);
  if (/^[[(]*\{\s*'/.test(text.slice(at, at + 64))) return reprAt(text, at);
  const found = text[at] === "{" ? objectAt(text, at) : { end: text.length, text: text.slice(at) };
  return found && parsed(found.text, found.end);
}

function parsed(json: string, end: number): FoundDocument | null {
  try {
    return { value: JSON.parse(json), end };
  } catch {
    // Words in brackets, or half an answer.
    return null;
  }
}

const TOKEN =
  /'((?:[^'\\]|\\[\s\S])*)'|"((?:[^"\\]|\\[\s\S])*)"|([{}[\](),:])|\s+|(-?\d[\w.+-]*)|(None|True|False)|b(?=['"])/y;
const CONSTANTS: Record<string, string> = { None: "null", True: "true", False: "false" };

/** What Python prints of a dictionary or a list. */
function reprAt(text: string, at: number): FoundDocument | null {
  let json = "";
  let depth = 0;
  TOKEN.lastIndex = at;
  for (let token = TOKEN.exec(text); token; token = TOKEN.exec(text)) {
    const [, single, double, sign = "", number = "", constant = ""] = token;
    const said = single ?? double;
    if (said !== undefined) json += jsonOfText(said);
    json += number + (CONSTANTS[constant] ?? "") + sign.replace("(", "[").replace(")", "]");
    if (sign !== "" && "{[(".includes(sign)) depth++;
    if (sign !== "" && "}])".includes(sign) && --depth <= 0) return parsed(json, TOKEN.lastIndex);
  }
  return null;
}

function jsonOfText(said: string): string {
  const plain = said.replace(/\\(?:x([\da-f]{2})|u([\da-f]{4})|([\s\S]))/gi, (_, two, four, one: string) => {
    const code = two ?? four;
    if (code !== undefined) return String.fromCharCode(parseInt(code, 16));
    return { n: "\n", t: "\t", r: "\r" }[one] ?? one;
  });
  return JSON.stringify(plain);
}

const ELEMENT = /<([\w:.-]+)(?=[\s>])[^<>]*>([^<]*)<\/\1\s*>/g;
const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** The elements of an answer in XML that hold a text, of two with one name the first. */
function xmlAt(text: string, at: number): FoundDocument | null {
  const begun = text.slice(at);
  const root = /^(?:<\?[^<>]*>\s*)?<([\w:.-]+)(?=[\s>])/.exec(begun)?.[1];
  const closing = root === undefined ? -1 : begun.indexOf(`</${root}>`);
  if (root === undefined || closing < 0) return null;
  const inside = begun
    .slice(0, closing)
    .replace(/<!\[CDATA\[([^\]]{0,1000})\]\]>/g, (_, words: string) =>
      words.replace(/&/g, "&amp;").replace(/</g, "&lt;"),
    );
  const fields: Record<string, string> = {};
  for (const [, name = "", said = ""] of inside.matchAll(ELEMENT)) {
    const bare = name.slice(name.indexOf(":") + 1);
    if (said.trim() !== "" && !Object.hasOwn(fields, bare)) fields[bare] = withoutEntities(said).trim();
  }
  const says = Object.keys(fields).some((name) => /^(?:message|code|faultstring|description)$/i.test(name));
  return says ? { value: fields, end: at + closing + root.length + 3 } : null;
}

function withoutEntities(text: string): string {
  return text.replace(/&(?:#x([\da-f]{1,6})|#(\d{1,7})|(\w{2,4}));/gi, (whole, hex, digits, name: string) => {
    const code = parseInt(hex ?? digits ?? "", hex === undefined ? 10 : 16);
    if (Number.isNaN(code)) return ENTITIES[name] ?? whole;
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
