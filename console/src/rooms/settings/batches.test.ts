import { describe, expect, it, vi } from "vitest";

let server: (request: Request) => Promise<Response>;
vi.stubGlobal("location", { origin: "http://here.example" });
vi.stubGlobal("fetch", (request: Request) => server(request));
const { KINDS, send } = await import("./batches");

const item = (sku: string, parts?: string[]) => ({ sku, ...(parts && { components: parts.map((part) => ({ sku: part, quantity: 1 })) }) });
const many = Array.from({ length: 5_000 }, (_, n) => item(`I-${n}`));

interface Seen {
  key: string | null;
  skus: string[];
}

/** A server that answers `answers` one by one, an Error by breaking off. */
function serve(...answers: ((skus: string[]) => unknown[] | Error)[]): Seen[] {
  const seen: Seen[] = [];
  server = async (request) => {
    const skus = ((await request.json()) as { items: { sku: string }[] }).items.map((each) => each.sku);
    seen.push({ key: request.headers.get("idempotency-key"), skus });
    const results = answers[seen.length - 1]?.(skus) ?? [];
    if (results instanceof Error) throw results;
    return new Response(JSON.stringify({ results }), { status: 200, headers: { "content-type": "application/json" } });
  };
  return seen;
}
const created = (skus: string[]) => skus.map(() => ({ status: "created" }));
const onProgress = () => undefined;

describe("rows of a file", () => {
  it("written again after a break are the same batches under the same keys", async () => {
    const rows = [...many, item("LAST")];
    const seen = serve(created, () => new TypeError("gone"), created, created);
    const how = { isTrial: false, id: "file", onProgress };
    await expect(send(KINDS.items, rows, how)).rejects.toThrow();
    expect((await send(KINDS.items, rows, how)).length).toBe(5_001);
    expect(seen[2]?.key).toBe(seen[0]?.key);
    expect(seen[3]?.key).toBe(seen[1]?.key);
    expect(seen[0]?.key).not.toBe(seen[1]?.key);
  });

  it("are told apart from those of another file, and of a trial", async () => {
    const seen = serve(created, created, created, created);
    await send(KINDS.items, [item("A")], { isTrial: false, id: "one", onProgress });
    await send(KINDS.items, [item("A")], { isTrial: false, id: "two", onProgress });
    await send(KINDS.items, [item("A")], { isTrial: true, id: "one", onProgress });
    await send(KINDS.items, [item("A")], { isTrial: true, id: "one", onProgress });
    expect(new Set(seen.map((each) => each.key)).size).toBe(4);
  });

  it("go with parts before bundles, and come back in their order", async () => {
    const seen = serve((skus) => skus.map((sku) => ({ status: "rejected", message: sku })));
    const outcomes = await send(KINDS.items, [item("SET", ["A"]), item("A")], { isTrial: true, onProgress });
    expect(seen[0]?.skus).toEqual(["A", "SET"]);
    expect(outcomes.map((each) => each.problem)).toEqual(["SET", "A"]);
  });

  it("of a trial are not rejected for parts that an earlier batch of it has", async () => {
    const rejected = () => [{ status: "rejected", errors: [{ path: "components[0].sku", message: "no item 'I-1'" }] }];
    serve(created, rejected, created, rejected);
    const rows = [item("SET", ["I-1"]), ...many];
    const [tried] = await send(KINDS.items, rows, { isTrial: true, onProgress });
    expect(tried).toEqual({ status: "created", problem: "" });
    const [written] = await send(KINDS.items, rows, { isTrial: false, id: "file", onProgress });
    expect(written?.status).toBe("rejected");
  });
});
