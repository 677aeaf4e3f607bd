// Light syntax colouring: where keys, texts, figures and comments are in a YAML text that a program wrote.
//
// Not a parser: what it does not recognise stays plain.

export type Kind = "key" | "text" | "figure" | "comment" | "secret";

export interface Mark {
  readonly kind: Kind;
  readonly from: number;
  readonly to: number;
}

const KEY = /^(\s*(?:- )*\s*)([^\s#"'{[-][^:#]*|"[^"]*"|'[^']*')(:)(?=\s|$)/;
const FIGURE = /^(?:[-+]?[\d.]+(?:e[-+]?\d+)?(?:ms|s|m|h|%)?|true|false|null|~)$/i;
const SECRET = /\*{3,}|redacted/i;

/** Marks in the order of the text, none of them overlapping. */
export function marks(text: string): Mark[] {
  const found: Mark[] = [];
  let start = 0;
  for (const line of text.split("\n")) {
    mark(line, start, found);
    start += line.length + 1;
  }
  return found;
}

function mark(line: string, start: number, found: Mark[]): void {
  let rest = 0;
  const key = KEY.exec(line);
  if (key) {
    const from = key[1]!.length;
    found.push({ kind: "key", from: start + from, to: start + from + key[2]!.length });
    rest = key[0].length;
  } else {
    rest = /^\s*(?:- )*/.exec(line)![0].length;
  }
  const comment = /(?:^|\s)#/.exec(line.slice(rest));
  const end = comment ? rest + comment.index + (comment[0].length - 1) : line.length;
  const value = line.slice(rest, end);
  const from = rest + (value.length - value.trimStart().length);
  const to = rest + value.trimEnd().length;
  if (to > from) {
    const said = line.slice(from, to);
    const kind = SECRET.test(said) ? "secret" : FIGURE.test(said) ? "figure" : "text";
    found.push({ kind, from: start + from, to: start + to });
  }
  if (comment) found.push({ kind: "comment", from: start + end, to: start + line.length });
}
