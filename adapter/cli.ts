/** `./cli`: shows runs in a terminal. */
export {
  cliAdapter,
  type FormatOptions,
  formatLine,
  formatStdoutEvent,
  parseStdoutLine,
} from "./ui/terminal.js";
