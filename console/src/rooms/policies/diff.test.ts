import { expect, it } from "vitest";
import { diff, hunks, linesOf } from "./diff";

const marks = { same: " ", added: "+", removed: "-" };
const drawn = (before: string, after: string) => diff(before, after).map((line) => marks[line.kind] + line.text);

it("tells the fewest lines that changed", () => {
  expect(drawn("a\nb\nc\nd\n", "a\nc\nx\nd\n")).toEqual([" a", "-b", " c", "+x", " d"]);
  expect(drawn("", "a\nb")).toEqual(["+a", "+b"]);
  expect(drawn("a\nb", "")).toEqual(["-a", "-b"]);
  expect(drawn("a\na\nb", "a\nb")).toEqual([" a", "-a", " b"]);
});

it("has every line of both texts, in their order and with their numbers", () => {
  const letters = "abc";
  // Every pair of texts of up to three lines of three kinds.
  const texts = [0, 1, 2, 3].flatMap((n) =>
    Array.from({ length: 3 ** n }, (_, i) => Array.from({ length: n }, (_, k) => letters[Math.floor(i / 3 ** k) % 3] ?? "")),
  );
  for (const a of texts) {
    for (const b of texts) {
      const lines = diff(a.join("\n"), b.join("\n"));
      const old = lines.filter((line) => line.kind !== "added");
      const now = lines.filter((line) => line.kind !== "removed");
      expect(old.map((line) => line.text)).toEqual(a);
      expect(now.map((line) => line.text)).toEqual(b);
      expect(now.map((line) => line.no)).toEqual(b.map((_, i) => i + 1));
    }
  }
});

it("leaves out what is far from a change", () => {
  const before = Array.from({ length: 12 }, (_, i) => `line ${i}`);
  const after = before.map((line, i) => (i === 6 ? "other" : line));
  expect(hunks(diff(before.join("\n"), after.join("\n")), 1).map((line) => line?.text ?? null)).toEqual([
    null, "line 5", "line 6", "other", "line 7", null,
  ]);
  expect(hunks(diff("a", "a"))).toEqual([null]);
});

it("takes all between equal ends as changed where a table would be too large", () => {
  const many = (name: string) => Array.from({ length: 2_100 }, (_, i) => `${name}${i}`);
  const lines = diff(["x", ...many("a"), "y"].join("\n"), ["x", ...many("b"), "y"].join("\n"));
  expect(lines.filter((line) => line.kind === "same").map((line) => line.text)).toEqual(["x", "y"]);
  expect(lines).toHaveLength(2 + 2 * 2_100);
});

it("knows lines of other systems", () => expect(linesOf("a\r\nb\n")).toEqual(["a", "b"]));
