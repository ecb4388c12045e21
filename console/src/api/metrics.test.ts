import { expect, it } from "vitest";
import { between, histogram, quantile, total } from "./metrics";

const TEXT = `# HELP onhand_hot_request_seconds x
onhand_hot_request_seconds_bucket{le="0.001",method="POST",route="/v1/promises"} 10.0
onhand_hot_request_seconds_bucket{le="0.01",method="POST",route="/v1/promises"} 90.0
onhand_hot_request_seconds_bucket{le="+Inf",method="POST",route="/v1/promises"} 100.0
onhand_hot_request_seconds_bucket{le="0.001",method="POST",route="/v1/orders"} 7.0
onhand_hot_request_seconds_count{method="POST",route="/v1/promises"} 100.0
`;

const read = () => histogram(TEXT, "onhand_hot_request_seconds", "POST", "/v1/promises");

it("reads the one route that is asked for", () => {
  expect(read()).toEqual({ bounds: [0.001, 0.01, Infinity], below: [10, 90, 100] });
  expect(histogram(TEXT, "onhand_hot_request_seconds", "GET", "/v1/promises")).toBeNull();
});

it("tells quantiles straight between bounds, and the last bound past it", () => {
  const counts = read();
  expect(counts).not.toBeNull();
  if (counts === null) return;
  expect(quantile(counts, 0.5)).toBeCloseTo(0.001 + 0.009 * (40 / 80));
  expect(quantile(counts, 0.99)).toBe(0.01);
  expect(quantile({ bounds: [1], below: [0] }, 0.5)).toBeNull();
});

it("takes what came between two looks, and all of it after a restart", () => {
  const later = { bounds: [1, Infinity], below: [5, 9] };
  expect(total(between({ bounds: [1, Infinity], below: [2, 4] }, later))).toBe(5);
  expect(between({ bounds: [1, Infinity], below: [6, 10] }, later)).toBe(later);
  expect(between(null, later)).toBe(later);
});
