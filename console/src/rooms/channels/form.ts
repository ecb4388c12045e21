/** From what a connector asks for (JSON Schema) to the fields of a form, and from what was typed back to a document. */

export type Kind = "text" | "url" | "integer" | "boolean" | "choice" | "map" | "document" | "secret";

export interface Field {
  name: string;
  kind: Kind;
  isRequired: boolean;
  description: string;
  example: string;
  choices: readonly string[];
  /** What counts if nothing is typed. */
  usual: string;
}

/** What is typed, as text; "" is left out. */
export type Typed = Readonly<Record<string, string>>;
export type Trouble = "required" | "integer" | "map" | "document" | "url";

interface Property {
  type?: string;
  format?: string;
  writeOnly?: boolean;
  enum?: string[];
  default?: unknown;
  description?: string;
  examples?: unknown[];
  additionalProperties?: unknown;
}

/** Fields of a schema; those that have to be filled in first. */
export function fieldsOf(schema: Record<string, unknown>): Field[] {
  const required = (schema["required"] ?? []) as string[];
  const properties = (schema["properties"] ?? {}) as Record<string, Property>;
  const fields = Object.entries(properties).map(([name, property]) => ({
    name,
    kind: kindOf(property),
    isRequired: required.includes(name),
    description: property.description ?? "",
    example: String(property.examples?.[0] ?? ""),
    choices: property.enum ?? [],
    usual: property.default === undefined ? "" : String(property.default),
  }));
  return [...fields.filter((field) => field.isRequired), ...fields.filter((field) => !field.isRequired)];
}

function kindOf(property: Property): Kind {
  if (property.writeOnly === true) return "secret";
  if (property.enum !== undefined) return "choice";
  if (property.format === "uri") return "url";
  if (property.type === "integer" || property.type === "boolean") return property.type;
  if (property.type === "object") return property.additionalProperties === undefined ? "document" : "map";
  return "text";
}

/** What a form shows of settings that are stored. */
export function typedOf(fields: readonly Field[], settings: Record<string, unknown>): Typed {
  const known = fields.filter(({ name }) => settings[name] !== undefined && settings[name] !== null);
  return Object.fromEntries(known.map(({ name, kind }) => [name, written(kind, settings[name])]));
}

function written(kind: Kind, value: unknown): string {
  if (kind === "document") return JSON.stringify(value, null, 2);
  if (kind !== "map") return String(value);
  return Object.entries(value as Record<string, string>).map(([ours, theirs]) => `${ours} = ${theirs}`).join("\n");
}

/** The part of the document that was typed, and what is wrong with it, by field. */
export function documentOf(fields: readonly Field[], typed: Typed): { made: Record<string, unknown>; wrong: Record<string, Trouble> } {
  const made: Record<string, unknown> = {};
  const wrong: Record<string, Trouble> = {};
  for (const { name, kind, isRequired } of fields) {
    // A secret may begin or end with a space.
    const text = kind === "secret" ? (typed[name] ?? "") : (typed[name] ?? "").trim();
    if (text === "") {
      if (isRequired) wrong[name] = "required";
      continue;
    }
    const value = read(kind, text);
    if (value === undefined) wrong[name] = kind as Trouble;
    else made[name] = value;
  }
  return { made, wrong };
}

function read(kind: Kind, text: string): unknown {
  switch (kind) {
    case "integer":
      return /^-?\d+$/.test(text) ? Number(text) : undefined;
    case "boolean":
      return text === "true";
    case "url":
      // One at the end is easily copied along, and would stand twice.
      return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) ? text.replace(/\/+$/, "") : undefined;
    case "map":
      return pairs(text);
    case "document":
      return objectOf(text);
    default:
      return text;
  }
}

function pairs(text: string): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  for (const line of text.split("\n").filter((each) => each.trim() !== "")) {
    const [ours = "", ...theirs] = line.split("=");
    if (ours.trim() === "" || theirs.length === 0) return undefined;
    found[ours.trim()] = theirs.join("=").trim();
  }
  return found;
}

function objectOf(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
