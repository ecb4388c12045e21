import { expect, it } from "vitest";
import { documentOf, fieldsOf, typedOf } from "./form";

const SCHEMA = {
  type: "object",
  required: ["url"],
  properties: {
    delimiter: { type: "string", enum: ["comma", "tab"], default: "comma", description: "between cells" },
    url: { type: "string", format: "uri", description: "of the shop", examples: ["https://shop.example"] },
    settle_s: { type: "integer", default: 30 },
    keep: { type: "boolean", default: false },
    columns: { type: "object", additionalProperties: { type: "string" } },
    overrides: { type: "object" },
    key: { type: "string", format: "password", writeOnly: true },
  },
};
const FIELDS = fieldsOf(SCHEMA);

it("asks first for what is required, each in its kind", () => {
  expect(FIELDS.map((field) => [field.name, field.kind])).toEqual([
    ["url", "url"], ["delimiter", "choice"], ["settle_s", "integer"], ["keep", "boolean"], ["columns", "map"], ["overrides", "document"], ["key", "secret"],
  ]);
  expect(FIELDS[0]).toMatchObject({ isRequired: true, example: "https://shop.example", description: "of the shop", usual: "" });
  expect(FIELDS[1]).toMatchObject({ isRequired: false, choices: ["comma", "tab"], usual: "comma" });
  expect(FIELDS[3]).toMatchObject({ usual: "false" });
  expect(fieldsOf({})).toEqual([]);
});

it("makes a document of what is typed, and leaves out what is not", () => {
  const typed = { url: " https://shop.example/ ", settle_s: "-5", keep: "false", columns: "sku = Artikel\n\nnote=a=b", overrides: '{"a": null}', key: " s " };
  expect(documentOf(FIELDS, typed)).toEqual({
    made: { url: "https://shop.example", settle_s: -5, keep: false, columns: { sku: "Artikel", note: "a=b" }, overrides: { a: null }, key: " s " },
    wrong: {},
  });
  expect(documentOf(FIELDS, { url: "https://shop.example", delimiter: " " })).toEqual({ made: { url: "https://shop.example" }, wrong: {} });
});

it("names each field that is wrong", () => {
  expect(documentOf(FIELDS, { settle_s: "1.5", columns: "sku", overrides: "[1]" }).wrong).toEqual({
    url: "required", settle_s: "integer", columns: "map", overrides: "document",
  });
  for (const url of ["shop.example", "javascript:alert(1)", "ftp://shop.example"]) {
    expect(documentOf(FIELDS, { url }).wrong).toEqual({ url: "url" });
  }
  expect(documentOf(FIELDS, { url: "http://a", overrides: "{" }).wrong).toEqual({ overrides: "document" });
});

it("shows what is stored as it would be typed", () => {
  const settings = { url: "https://shop.example", settle_s: 0, keep: true, columns: { sku: "Artikel", note: "a=b" }, overrides: { a: { b: 1 } }, delimiter: null };
  const typed = typedOf(FIELDS, settings);
  expect(typed).toMatchObject({ settle_s: "0", keep: "true", columns: "sku = Artikel\nnote = a=b" });
  const { delimiter, ...kept } = settings;
  expect(delimiter).toBeNull();
  expect(documentOf(FIELDS, typed)).toEqual({ made: kept, wrong: {} });
});
