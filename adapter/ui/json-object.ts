/** One JSON object of a line, with no more in it than a page can read at once. */

/** Deeper than any event is: to read a million brackets takes the page a tenth of a second. */
const MAX_DEPTH = 1_000;
/** A line, its part, and the part's state. What stands in a field of the state, such as a tool's input, may be wide. */
const STATE_DEPTH = 3;
/** Texts, lists and objects around such fields; no event has more. */
const MAX_AROUND = 1_000;
/** Texts, lists and objects that are read of such fields together: several times what is shown of one. */
const MAX_WITHIN = 10_000;
/** What is read of each field, also of one after a wide one. */
const LEAST_WITHIN = 50;

/** Where an object ends, and its text, of whose wide fields the beginning is left. */
export interface FoundObject {
  end: number;
  text: string;
}

/** The object that begins at `from`; `null` where it does not end, is too deep, or has more than an event has. */
export function objectAt(line: string, from: number): FoundObject | null {
  const closers: string[] = [];
  let around = 0;
  let within = 0;
  let left = MAX_WITHIN;
  let kept = "";
  let start = from;
  let isCut = false;
  let isQuoted = false;
  for (let at = from; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (isQuoted) {
      if (code === 0x5c) at++;
      else if (code === 0x22) isQuoted = false;
    } else if (code === 0x22 || code === 0x7b || code === 0x5b) {
      if (closers.length > STATE_DEPTH) within++;
      else if (++around > MAX_AROUND) return null;
      if (code === 0x22) isQuoted = true;
      else if (closers.push(code === 0x7b ? "}" : "]") > MAX_DEPTH) return null;
    } else if (code === 0x7d || code === 0x5d) {
      closers.pop();
      if (closers.length === 0) return { end: at + 1, text: kept + line.slice(start, at + 1) };
      if (closers.length > STATE_DEPTH) continue;
      if (isCut) start = at + 1;
      isCut = false;
      left -= within;
      within = 0;
    } else if (code === 0x2c && !isCut && within > Math.max(left, LEAST_WITHIN)) {
      kept += line.slice(start, at) + closers.slice(STATE_DEPTH).reverse().join("");
      isCut = true;
    }
  }
  return null;
}
