// The one way for runs and tails: batches in, answers back. Everything that may wait, fail or hang is decided in Rust,
// except a callback of JavaScript.

/** Taken here once: tests and frameworks replace the globals, and a tail must outlive that. */
const { clearInterval, performance, setImmediate, setInterval } = globalThis;
const { nextTick } = process;
const rust = { ...addon };

/** After this time a long log goes on in the next turn of the event loop: Node would take batch after batch in one. */
const TURN_MS = 5;

/** `(kind, text, number)` of each run and tail, by the word that names it in a batch. */
const listeners = new Map();
let opened;
let turnSince;
let takenTails = [];
let endedCalls = [];

function crossing() {
  opened ??= rust.openCrossing(takeBatch);
  return opened;
}

/** One crossing: the texts of several runs and tails, and behind the last newline whose they are. */
function takeBatch(batch) {
  if (turnSince === undefined) {
    turnSince = performance.now();
    setImmediate(() => {
      turnSince = undefined;
    }).unref();
  }
  const words = batch.slice(batch.lastIndexOf("\n") + 1).split(" ");
  let start = 0;
  for (let at = 0; at + 3 < words.length; at += 4) {
    const end = start + Number(words[at + 3]);
    const listener = listeners.get(words[at]) ?? ignore;
    listener(words[at + 2], batch.slice(start, end), Number(words[at + 1]));
    start = end;
  }
  rust.arrived(opened);
}

/** Its run or tail is over. */
function ignore() {}

/** Most of a batch is answered after the promises of this turn, and crosses together. */
function answer(numbers, number) {
  numbers.push(number);
  if (takenTails.length + endedCalls.length > 1) return;
  const tell = () => {
    const [tails, calls] = [takenTails, endedCalls];
    takenTails = [];
    endedCalls = [];
    const batch = rust.answered(opened, tails, calls);
    if (typeof batch === "string") takeBatch(batch);
  };
  if (turnSince === undefined || performance.now() - turnSince < TURN_MS) nextTick(tell);
  else setImmediate(tell);
}

let held = 0;
let keepAlive;

/** Keeps the process alive until the returned function is called; Rust itself never does. */
function holdProcess() {
  held++;
  keepAlive ??= setInterval(ignore, 2 ** 31 - 1);
  return () => {
    if (--held > 0) return;
    clearInterval(keepAlive);
    keepAlive = undefined;
  };
}
