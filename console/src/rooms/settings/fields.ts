/** What the interface takes: fields of a kind of rows, read from its own description, and cells made fit for them. */

export interface Field {
  name: string;
  type: "text" | "number" | "flag" | "list" | "other";
  isRequired: boolean;
  about: string;
}

export interface Description {
  paths: Record<string, { post?: { requestBody?: { content: Record<string, { schema: Part }> } } }>;
  components: { schemas: Record<string, Part> };
}

export interface Part {
  $ref?: string;
  type?: string | string[];
  anyOf?: Part[];
  items?: Part;
  properties?: Record<string, Part>;
  required?: string[];
  description?: string;
}

/** The fields of the rows that POST `path` takes under `member`, the required ones first. */
export function fieldsOf(description: Description, path: string, member: string): Field[] {
  const resolved = (part: Part | undefined): Part => {
    const name = part?.$ref?.split("/").at(-1);
    return name === undefined ? (part ?? {}) : (description.components.schemas[name] ?? {});
  };
  const body = resolved(description.paths[path]?.post?.requestBody?.content["application/json"]?.schema);
  const rows = resolved(resolved(body.properties?.[member]).items);
  const row = rows.properties === undefined ? resolved(rows.anyOf?.[0]) : rows;
  const fields = Object.entries(row.properties ?? {}).map(([name, part]) => ({
    name,
    type: typeOf(resolved(part), resolved),
    isRequired: row.required?.includes(name) === true,
    about: part.description ?? "",
  }));
  return [...fields.filter((field) => field.isRequired), ...fields.filter((field) => !field.isRequired)];
}

function typeOf(part: Part, resolved: (part: Part) => Part): Field["type"] {
  const types = [part, ...(part.anyOf ?? []).map(resolved)].flatMap((each) => each.type ?? []).filter((type) => type !== "null");
  if (types.includes("array")) return "list";
  if (types.includes("integer") || types.includes("number")) return "number";
  if (types.includes("boolean")) return "flag";
  return types.includes("string") ? "text" : "other";
}

/** Which field each column goes to: the one of the same name, whatever its case and spaces; "" for none. */
export function matched(columns: readonly string[], fields: readonly Field[]): Record<string, string> {
  const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  const taken = new Set<string>();
  return Object.fromEntries(
    columns.map((column) => {
      const name = fields.find((field) => plain(field.name) === plain(column) && !taken.has(field.name))?.name ?? "";
      taken.add(name);
      return [column, name];
    }),
  );
}

/** A row as the interface takes it. What cannot be read as its type goes as it is, so that the server says why not. */
export function documentOf(
  cells: Record<string, unknown>,
  mapping: Record<string, string>,
  fields: readonly Field[],
  constants: Record<string, unknown> = {},
): Record<string, unknown> {
  const document: Record<string, unknown> = { ...constants };
  for (const [column, name] of Object.entries(mapping)) {
    const field = fields.find((each) => each.name === name);
    const value = cells[column];
    // An empty cell says nothing; the field keeps its default.
    if (field === undefined || value === undefined || value === "") continue;
    document[name] = typeof value === "string" ? read(value.trim(), field.type) : value;
  }
  return document;
}

function read(text: string, type: Field["type"]): unknown {
  if (type === "number") return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
  if (type === "flag") {
    const word = text.toLowerCase();
    return ["true", "yes", "1"].includes(word) ? true : ["false", "no", "0"].includes(word) ? false : text;
  }
  if (type === "text") return text;
  if (/^[[{]/.test(text)) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return text;
    }
  }
  return type === "list" ? text.split(/[;|]/).map((each) => read(each.trim(), "number")) : text;
}
