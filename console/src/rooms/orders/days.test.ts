import { describe, expect, it } from "vitest";
import { beginOf, dayFrom, dayUntil, endOf } from "./days";

describe("days of a filter", () => {
  it("come back as they were chosen, on days of 23 and 25 hours too", () => {
    for (const day of ["2026-03-29", "2026-10-25", "2026-11-28", "2026-12-31", "2024-02-29"]) {
      expect(dayFrom(beginOf(day))).toBe(day);
      expect(dayUntil(endOf(day))).toBe(day);
    }
  });
  it("lie next to each other", () => {
    expect(endOf("2026-12-31")).toBe(beginOf("2027-01-01"));
    expect(endOf("2026-02-28")).toBe(beginOf("2026-03-01"));
  });
  it("are none where none was chosen, or the address says nonsense", () => {
    expect([beginOf(""), endOf(""), dayFrom(undefined), dayUntil("tomorrow")]).toEqual(["", "", "", ""]);
  });
});
