// Tails: lines to a callback, one call at a time, whatever that callback does: it may throw, reject, or never answer.

/** How long one call may take once the tail was asked to stop: whoever stops it waits for its end. */
const STOPPED_LIMIT_MS = 2_000;
/** However seldom its file is read, a flag is read so often. */
const MAX_FLAG_MS = 1_000;
/** Parts of a collected text that are joined in one turn of the event loop. */
const PARTS_A_TURN = 8;

/** Tails that need the clock: with a flag to read, or with a call that has not answered. One timer serves them all. */
const clocked = new Set();
let timer;
let timerMs = Infinity;

function tick() {
  let soonest = Infinity;
  for (const tail of clocked) {
    const wanted = tail.tick();
    if (wanted === Infinity) clocked.delete(tail);
    soonest = Math.min(soonest, wanted);
  }
  tickEvery(soonest);
}

function tickEvery(ms) {
  if (ms === timerMs) return;
  clearInterval(timer);
  timerMs = ms;
  timer = ms === Infinity ? undefined : setInterval(tick, ms).unref();
}

class Tail {
  /** What came of the log and was not delivered: `{stream, text, start, isLast}`. */
  parts = [];
  reported = new Set();
  /** Grows when a call is given up: the loop that waits for it is no longer the one that goes on. */
  turn = 0;
  /** Calls made; the clock sees by it whether one call takes long. To read the time for each line would cost more. */
  calls = 0;
  waiting = false;
  /** The clock has it since its last tick. */
  isWatched = false;
  delivering = false;
  /** Calls that never answered. While there is one, later calls are made without waiting for them. */
  unanswered = 0;
  watched = { call: -1, since: 0 };
  idle = 0;
  isOver = false;

  constructor(options) {
    Object.assign(this, options);
    this.ended = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
  }

  follow(path, options) {
    this.number = rust.tailPodLogFile(crossing(), path, options);
    // Batches come in later turns of the event loop, so that the listener is known in time.
    listeners.set(`t${this.number}`, (kind, text, number) => this.take(kind, text, number === 1));
    if (this.flag) this.readFlag();
    this.wantTick();
  }

  take(kind, text, isLast) {
    this.parts.push({ kind, text, start: 0, isLast });
    if (!this.delivering) void this.deliver(this.turn);
  }

  /** Goes on with what came until all is out, or until the call it waits for is given up. */
  async deliver(turn) {
    this.delivering = true;
    for (let part = this.parts[0]; part !== undefined; part = this.parts[0]) {
      if (part.kind === "end" || part.kind === "failed") this.end(part);
      else if (part.kind === "notice") part.text = `[paperclip] ${part.text}\n`;
      while (part.start < part.text.length && !this.isOver) {
        try {
          const called = this.call(part);
          if (typeof called?.then !== "function") continue;
          if (this.unanswered > 0) {
            called.then(undefined, (error) => this.report("rejected a line", error));
            continue;
          }
          this.waiting = true;
          if (!this.isWatched) this.watch();
          await called;
        } catch (error) {
          this.report(this.waiting || turn !== this.turn ? "rejected a line" : "threw", error);
        }
        if (turn !== this.turn) {
          // This call was given up and has answered after all: another loop has gone on.
          this.unanswered--;
          return;
        }
        this.waiting = false;
      }
      this.parts.shift();
      if (part.kind === "stdout" && !this.isOver) this.linesCame();
      if (part.isLast) answer(takenTails, this.number);
    }
    this.delivering = false;
  }

  /** The innermost loop: one line, or with `onLines` all lines of the part. */
  call(part) {
    const { text, start } = part;
    this.calls++;
    if (part.kind !== "stdout") {
      part.start = text.length;
      return this.onLog?.("stderr", text);
    }
    if (this.onLines !== undefined) {
      part.start = text.length;
      return this.onLines(text);
    }
    const end = text.indexOf("\n", start) + 1 || text.length;
    part.start = end;
    return this.onLog("stdout", text.slice(start, end));
  }

  end({ kind, text }) {
    this.isOver = true;
    listeners.delete(`t${this.number}`);
    clocked.delete(this);
    if (kind === "failed") this.settle.reject(new Error(text));
    else this.settle.resolve();
  }

  stop() {
    if (this.isOver) return;
    this.limitMs = Math.min(this.limitMs, STOPPED_LIMIT_MS);
    rust.stopTail(opened, this.number);
  }

  /** Whoever sets the flag in the middle of the lines does not wait for the clock. */
  linesCame() {
    this.idle = 0;
    if (this.flag) this.readFlag();
    if (timerMs > this.pollMs) this.wantTick();
  }

  readFlag() {
    let isStopped = true;
    try {
      isStopped = Boolean(this.flag.stopped);
    } catch {
      // A flag that cannot be read any more cannot ask for more output either.
    }
    if (!isStopped) return;
    this.flag = undefined;
    this.stop();
  }

  /** From now on the clock looks after the calls; not for each of them, because that is once a line. */
  watch() {
    this.isWatched = true;
    this.wantTick();
  }

  wantTick() {
    if (this.isOver || (!this.flag && !this.waiting)) return;
    clocked.add(this);
    const wanted = Math.min(this.flag ? this.flagMs() : Infinity, this.waiting ? this.checkMs() : Infinity);
    if (wanted < timerMs) tickEvery(wanted);
  }

  flagMs() {
    const isQuiet = this.idle >= this.idlePolls;
    return Math.min(MAX_FLAG_MS, isQuiet ? Math.max(this.maxPollMs, this.pollMs) : this.pollMs);
  }

  /** Often enough for short limits, seldom for the usual one. */
  checkMs() {
    return Math.min(250, Math.max(1, this.limitMs / 4));
  }

  /** Called by the clock; says when it wants to be called again. */
  tick() {
    if (this.flag) this.readFlag();
    if (this.waiting) this.checkCall();
    this.isWatched = this.waiting;
    this.idle++;
    return Math.min(this.flag ? this.flagMs() : Infinity, this.waiting ? this.checkMs() : Infinity);
  }

  checkCall() {
    const now = performance.now();
    if (this.watched.call !== this.calls) {
      this.watched = { call: this.calls, since: now };
    } else if (now - this.watched.since >= this.limitMs) {
      this.unanswered++;
      this.waiting = false;
      this.turn++;
      this.report("does not answer", new Error(`waited ${this.limitMs} ms; lines are handed over without waiting`));
      void this.deliver(this.turn);
    }
  }

  report(what, error) {
    if (this.reported.has(what)) return;
    this.reported.add(what);
    const name = this.onLines === undefined ? "onLog" : "onLines";
    const line = `[paperclip] Warning: ${name} ${what}, the tail goes on: ${describe(error)}\n`;
    // Not awaited: a callback that fails here as well must not hold up the tail.
    void (async () => this.onLog?.("stderr", line))().catch(ignore);
  }
}

/** The joined string is a rope: nothing is copied until somebody reads it. */
async function collectedText(tail) {
  let text = "";
  for (let index = 1; ; index++) {
    const part = rust.collectedText(opened, tail);
    if (part === null) return text;
    text += part;
    // A host that has to copy the parts must not be held up by a long log.
    if (index % PARTS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

const TAIL_TIMES = ["pollMs", "maxPollMs", "idlePolls", "appearTimeoutMs", "sinkTimeoutMs"];
const TAIL_KEYS = [...TAIL_TIMES, "onLog", "onLines", "stopSignal", "signal", "collect", "ref", "dataRoot"];

/** The options of a tail, each of its type. */
function tailOptions(options) {
  const given = fieldsOf(options, TAIL_KEYS, "options");
  const optional = (key, type) => expectOptional(given[key], type, `options.${key}`);
  const onLines = optional("onLines", "function");
  if (onLines === undefined) expect(given.onLog, "function", "options.onLog");
  for (const key of TAIL_TIMES) {
    const time = optional(key, "number") ?? 0;
    if (!(time >= 0)) throw new TypeError(`options.${key} must be at least 0, it is ${time}`);
  }
  const { signal, stopSignal: flag } = given;
  const isSignal = (key) => typeof read(signal, key, "options.signal") === "function";
  if (signal !== undefined && signal !== null && !["addEventListener", "removeEventListener"].every(isSignal))
    throw new TypeError("options.signal must be an AbortSignal; a {stopped} flag goes to options.stopSignal");
  if (flag !== undefined && flag !== null && (typeof flag !== "object" || flag instanceof AbortSignal))
    throw new TypeError("options.stopSignal must be a {stopped} flag; an AbortSignal goes to options.signal");
  return {
    onLines,
    onLog: optional("onLog", "function"),
    flag: flag ?? undefined,
    signal: signal ?? undefined,
    collect: optional("collect", "boolean") ?? true,
    ref: optional("ref", "boolean") ?? true,
    dataRoot: optional("dataRoot", "string"),
    pollMs: Math.max(1, given.pollMs ?? 250),
    maxPollMs: Math.max(1, given.maxPollMs ?? 1_000),
    idlePolls: Math.min(2 ** 31, Math.ceil(given.idlePolls ?? 5)),
    appearTimeoutMs: given.appearTimeoutMs ?? 30_000,
    limitMs: given.sinkTimeoutMs ?? 30_000,
  };
}

/** JSON knows no Infinity; so long is as good. */
const finite = (ms) => Math.min(ms, 1e12);

async function tailPodLogFile(filePath, options) {
  if (expect(filePath, "string", "filePath") === "") throw new TypeError("filePath must be the path of a log file");
  const { signal, ref, collect, dataRoot, appearTimeoutMs, ...rest } = tailOptions(options);
  const { pollMs, maxPollMs, idlePolls } = rest;
  const isAborted = signal !== undefined && read(signal, "aborted", "options.signal");
  const times = { pollMs: finite(pollMs), maxPollMs: finite(maxPollMs), appearTimeoutMs: finite(appearTimeoutMs) };
  const tail = new Tail(rest);
  tail.follow(filePath, JSON.stringify({ ...times, idlePolls, collect, dataRoot }));
  const release = ref ? holdProcess() : ignore;
  const stop = () => tail.stop();
  try {
    if (isAborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
    await tail.ended;
    return collect ? await collectedText(tail.number) : "";
  } finally {
    release();
    // What is no signal of the platform's may throw: its tail must not go on without anybody who can end it.
    stop();
    signal?.removeEventListener("abort", stop);
  }
}
