/** `./cli`: shows runs in a terminal. */
export {
  cliAdapter,
  type FormatOptions,
  formatEvent,
  formatLine,
  formatStdoutEvent,
  parseStdoutLine,
} from "./ui/terminal.js";
