/** `./ui-parser`: the one file whose built text the host evaluates in a browser worker. */
export { parseStdoutLine } from "./ui/stdout-line.js";
