import { describe, expect, it } from "vitest";
import { EventReader } from "./sse";

const TEXT = 'retry: 1000\n\nid: e.1.1\nevent: order.sourced\ndata: {"a":1}\n\n: beat\n\nid: e.1.2\nevent: stock.changed\ndata: one\ndata: two\n\n';
const EVENTS = [
  { id: "e.1.1", type: "order.sourced", data: '{"a":1}' },
  { id: "e.1.2", type: "stock.changed", data: "one\ntwo" },
];

describe("events", () => {
  it("are read as they are sent, heartbeats aside", () => expect(new EventReader().push(TEXT)).toEqual(EVENTS));

  it("are put together wherever the pieces were cut", () => {
    for (let size = 1; size < TEXT.length; size++) {
      const reader = new EventReader();
      const found = [];
      for (let at = 0; at < TEXT.length; at += size) found.push(...reader.push(TEXT.slice(at, at + size)));
      expect(found).toEqual(EVENTS);
    }
  });
});
