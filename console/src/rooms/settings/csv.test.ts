import { expect, it } from "vitest";
import { asCsv, readSheet, UnreadableFile } from "./csv";

const cells = (text: string) => readSheet(text).rows.map((row) => row.cells);
const problem = (text: string) => {
  try {
    readSheet(text);
  } catch (error) {
    return error instanceof UnreadableFile ? [error.reason, error.line] : error;
  }
  return null;
};

it("reads commas, semicolons and tabs, whichever the head has most of", () => {
  expect(cells("sku,name\nA,Mug\n")).toEqual([{ sku: "A", name: "Mug" }]);
  expect(cells("sku;name\r\nA;Mug, blue\r\n")).toEqual([{ sku: "A", name: "Mug, blue" }]);
  expect(cells("\uFEFFsku\t\"na,me\"\nA\tMug")).toEqual([{ sku: "A", "na,me": "Mug" }]);
});

it("reads quotes, lines within them, and where each row begins", () => {
  const { rows } = readSheet('sku,name\nA,"a ""blue"" mug,\nlarge"\n\nB,"x"y\nC');
  expect(rows).toEqual([
    { line: 2, cells: { sku: "A", name: 'a "blue" mug,\nlarge' } },
    { line: 5, cells: { sku: "B", name: "xy" } },
    { line: 6, cells: { sku: "C", name: "" } },
  ]);
});

it("keeps a row of empty fields but no empty line", () => {
  expect(cells("a,b\n,\n\n1,2\n")).toEqual([{ a: "", b: "" }, { a: "1", b: "2" }]);
});

it("reads JSON as the interface takes it", () => {
  expect(readSheet('{"items": [{"sku": "A"}, {"sku": "B", "weight_g": 3}]}')).toEqual({
    columns: ["sku", "weight_g"],
    rows: [{ line: 1, cells: { sku: "A" } }, { line: 2, cells: { sku: "B", weight_g: 3 } }],
  });
  expect(cells('[{"sku": "A"}]')).toEqual([{ sku: "A" }]);
});

it("says what cannot be read, and where", () => {
  expect(problem(" \n")).toEqual(["empty", 0]);
  expect(problem("sku,name\n")).toEqual(["empty", 0]);
  expect(problem('sku\nA\n"open')).toEqual(["quote", 3]);
  expect(problem("sku,sku\nA,B")).toEqual(["column", 1]);
  expect(problem("[1, 2]")).toEqual(["rows", 0]);
  expect(problem('{"items": ')).toEqual(["json", 0]);
});

it("writes what it reads", () => {
  const rows = [{ sku: "A", name: 'a "blue", mug;\n' }, { sku: "-5", name: "" }];
  expect(cells(asCsv(["sku", "name"], rows))).toEqual(rows);
});

it("writes nothing that a spreadsheet would run", () => {
  expect(asCsv(["a"], [{ a: "=1+1" }, { a: "@x" }, { a: "-x" }, { a: [1] }])).toBe("a\r\n'=1+1\r\n'@x\r\n'-x\r\n[1]\r\n");
});
