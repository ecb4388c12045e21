import { expect, it, vi } from "vitest";

vi.stubGlobal("addEventListener", () => undefined);

it("finds the parts of an address", async () => {
  const { match } = await import("./router");
  expect(match("/orders/:order", "/orders/a%2Fb")).toEqual({ order: "a/b" });
  expect(match("/orders", "/orders/")).toEqual({});
  expect(match("/orders/:order", "/orders")).toBeNull();
  expect(match("/stock/:sku", "/stock/%E0%A4%A")).toEqual({ sku: "%E0%A4%A" });
});

it("changes filters and keeps the others", async () => {
  const { withParameters } = await import("./router");
  const address = new URL("http://x/orders?status=held&q=7");
  expect(withParameters(address, { status: null, node: "A B" })).toBe("/orders?q=7&node=A+B");
  expect(withParameters(address, { status: "", q: false })).toBe("/orders");
});
