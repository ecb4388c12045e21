/** Files of rows: comma, semicolon or tab between fields (RFC 4180), or JSON. */

export interface Row {
  /** Where it begins in the file, from 1; of JSON its number among the rows. */
  line: number;
  cells: Record<string, unknown>;
}

export interface Sheet {
  columns: string[];
  rows: Row[];
}

/** A file cannot be read as rows; `line` is 0 where that is not known. */
export class UnreadableFile extends Error {
  constructor(
    readonly reason: "empty" | "json" | "rows" | "quote" | "column",
    readonly line = 0,
  ) {
    super(reason);
  }
}

/** The rows of a file, JSON if it begins like it. Throws UnreadableFile. */
export function readSheet(text: string): Sheet {
  const plain = text.replace(/^\uFEFF/, "");
  if (plain.trim() === "") throw new UnreadableFile("empty");
  return /^\s*[[{]/.test(plain) ? ofJson(plain) : ofCsv(plain);
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function ofJson(text: string): Sheet {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new UnreadableFile("json");
  }
  // `{"items": [...]}`, as the interface takes and gives it, or the list itself.
  const list = isRecord(found) ? Object.values(found).find(Array.isArray) : found;
  if (!Array.isArray(list) || !list.every(isRecord)) throw new UnreadableFile("rows");
  if (list.length === 0) throw new UnreadableFile("empty");
  return { columns: [...new Set(list.flatMap(Object.keys))], rows: list.map((cells, i) => ({ line: i + 1, cells })) };
}

function ofCsv(text: string): Sheet {
  const [head, ...records] = recordsOf(text, separatorOf(text));
  if (head === undefined || records.length === 0) throw new UnreadableFile("empty");
  const columns = head.fields.map((name) => name.trim());
  if (new Set(columns).size < columns.length || columns.includes("")) throw new UnreadableFile("column", head.line);
  return {
    columns,
    rows: records.map(({ line, fields }) => ({ line, cells: Object.fromEntries(columns.map((name, i) => [name, fields[i] ?? ""])) })),
  };
}

/** What stands most often in the first line, outside of quotes. */
function separatorOf(text: string): string {
  const first = (/^(?:"(?:[^"]|"")*"|[^"\r\n])*/.exec(text)?.[0] ?? "").replace(/"(?:[^"]|"")*"/g, "");
  const count = (mark: string) => first.split(mark).length;
  return [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
}

interface Fields {
  line: number;
  fields: string[];
}

function recordsOf(text: string, separator: string): Fields[] {
  const records: Fields[] = [];
  let line = 1;
  let record: Fields = { line, fields: [] };
  let at = 0;
  while (at <= text.length) {
    let field = "";
    if (text[at] === '"') {
      const opened = line;
      for (at += 1; ; at += 1) {
        if (at >= text.length) throw new UnreadableFile("quote", opened);
        if (text[at] === '"') {
          if (text[at + 1] !== '"') break;
          at += 1;
        } else if (text[at] === "\n") line += 1;
        field += text[at];
      }
      at += 1;
    }
    // Also what follows a closing quote: nothing is lost of a file that is quoted badly.
    while (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") field += text[at++];
    record.fields.push(field);
    if (text[at] === separator) {
      at += 1;
      continue;
    }
    if (record.fields.length > 1 || field.trim() !== "") records.push(record);
    at += text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1;
    line += 1;
    record = { line, fields: [] };
  }
  return records;
}

/** The rows as a file again, with commas; text that spreadsheets would run as a formula is only text. */
export function asCsv(columns: readonly string[], rows: readonly Record<string, unknown>[]): string {
  const cell = (value: unknown): string => {
    const text = value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text;
    return /[",;\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [columns, ...rows.map((row) => columns.map((name) => row[name]))].map((each) => `${each.map(cell).join(",")}\r\n`).join("");
}
