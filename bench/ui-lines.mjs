// One long line of a run's log of each kind that the page and the terminal render. Used by the benchmark and by the
// test that counts what is read of them.

/** The kinds with their lines of about `size` characters. */
export function longLines(size) {
  const fill = (text) => text.repeat(Math.ceil(size / text.length)).slice(0, size);
  const event = (value) => JSON.stringify({ timestamp: 1, sessionID: "ses_1", ...value });
  const typed = (type, value) =>
    event({ type, ...value }).replace(
      /^\{"timestamp":1,"sessionID":"ses_1","type":"\w+"/,
      `{"type":"${type}","timestamp":1,"sessionID":"ses_1"`,
    );
  const answer = (text) => typed("text", { part: { text } });
  const tool = (state) => typed("tool_use", { part: { tool: "bash", callID: "c", state } });
  return {
    "a text": answer(fill("All work and no play. ")),
    "a text of HTML": answer(fill('<div class="x"><b>bold</b></div>\n')),
    "a tool's result": tool({ status: "completed", input: { content: fill("line\n") }, output: fill("line\n") }),
    "a failed tool": tool({ status: "error", input: { list: [fill("x")] }, error: fill("error\n") }),
    "an error": typed("error", {
      error: { name: "APIError", data: { message: fill("no \u001b[31m"), metadata: { url: fill("http://a@") } } },
    }),
    "an error of V2": typed("error", {
      error: { type: "provider.auth", message: fill("no "), status: 401, http: { url: fill("a/@") } },
    }),
    "events without a newline": fill(answer("Hi.")),
    "events beside text": fill(`[plugin] ready ${answer("Hi.")}`),
    "a cut event": answer(fill("text ")).slice(0, -2),
    "a cut event beside text": `x${answer(fill('{"type":"')).slice(0, -2)}`,
    "beginnings of events": fill('{"type":"'),
    "nested beginnings": `x${fill('{"type":"a","b":')}`,
    "braces and quotes": fill('{"{\\"'),
    "raw HTML": fill("<p>text</p>"),
    "escape sequences": fill("\u001b[31mred\u001b[0m "),
    "titles without an end": fill("\u001b]0;title"),
    "one sequence without an end": `\u001b[${fill("1;")}`,
    "sequences of one byte": fill("\u009b\u009d\u0090"),
    "white space": fill(" \t"),
    brackets: fill("["),
    "an event of brackets": `{"type":"text","sessionID":"ses_1","part":{"text":${fill("[")}`,
  };
}
