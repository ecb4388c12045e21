import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Gatherer } from "./gatherer";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it("acts at once, then once a period for as long as more comes", () => {
  const acted: string[][] = [];
  const gatherer = new Gatherer<string[]>((key) => acted.push(key), 100);
  for (let i = 0; i < 10; i++) gatherer.add(["orders"]);
  gatherer.add(["stock"]);
  expect(acted).toEqual([["orders"], ["stock"]]);
  vi.advanceTimersByTime(100);
  expect(acted).toEqual([["orders"], ["stock"], ["orders"]]);
  vi.advanceTimersByTime(1000);
  expect(acted).toHaveLength(3);
  gatherer.add(["orders"]);
  gatherer.add(["orders"]);
  gatherer.stop();
  vi.advanceTimersByTime(1000);
  expect(acted).toHaveLength(4);
});
