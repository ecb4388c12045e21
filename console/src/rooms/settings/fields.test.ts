import { expect, it } from "vitest";
import description from "../../../openapi.json";
import { documentOf, fieldsOf, matched, type Description } from "./fields";

const api = description as unknown as Description;
const items = fieldsOf(api, "/v1/items/batch", "items");
const nodes = fieldsOf(api, "/v1/nodes/batch", "nodes");
const type = (name: string, of = items) => of.find((field) => field.name === name)?.type;

it("knows the fields of every kind of rows from the description of the interface", () => {
  expect(items.filter((field) => field.isRequired).map((field) => field.name)).toEqual(["name", "sku"]);
  expect([type("sku"), type("weight_g"), type("price_minor"), type("components"), type("attributes")]).toEqual([
    "text", "number", "number", "list", "other",
  ]);
  expect([type("active", nodes), type("latitude", nodes), type("working_days", nodes)]).toEqual(["flag", "number", "list"]);
  for (const [path, member, field] of [
    ["/v1/stock/entries", "entries", "quantity"], ["/v1/lanes/batch", "lanes", "days"], ["/v1/supply/batch", "supply", "lead_days"],
  ] as const) {
    expect(fieldsOf(api, path, member).find((each) => each.name === field)?.isRequired).toBe(true);
  }
});

it("matches columns by name, and no field twice", () => {
  expect(matched(["SKU", "Weight G", "sku", "Colour"], items)).toEqual({ SKU: "sku", "Weight G": "weight_g", sku: "", Colour: "" });
});

it("makes cells fit for their fields", () => {
  const mapping = { code: "code", lat: "latitude", open: "active", days: "working_days", size: "capacity", note: "" };
  const cells = { code: " 007 ", lat: "52.5", open: "no", days: "1;2;sat", size: '{"orders": 9}', note: "x" };
  expect(documentOf(cells, mapping, nodes)).toEqual({
    code: "007", latitude: 52.5, active: false, working_days: [1, 2, "sat"], capacity: { orders: 9 },
  });
});

it("leaves to the server what it cannot read, and out what is empty", () => {
  const mapping = { sku: "sku", weight: "weight_g", parts: "components", name: "name" };
  expect(documentOf({ sku: "A", weight: "heavy", parts: "[", name: "" }, mapping, items)).toEqual({
    sku: "A", weight_g: "heavy", components: "[",
  });
  expect(documentOf({ sku: "A" }, { sku: "sku" }, items, { kind: "count" })).toEqual({ kind: "count", sku: "A" });
});
