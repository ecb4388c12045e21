/** Calls of the public interface, typed by its own description. */

import createClient, { type Middleware } from "openapi-fetch";
import { problemOf } from "./problem";
import type { components, paths } from "./schema";
import { session } from "./session";

export type Schema = components["schemas"];

/** A random id; `crypto.randomUUID` is there on secure addresses only. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const signed: Middleware = {
  onRequest({ request }) {
    if (session.key !== null) request.headers.set("authorization", `Bearer ${session.key}`);
    // What a bad connection sends twice happens once.
    if (request.method === "POST" && !request.headers.has("idempotency-key")) request.headers.set("idempotency-key", newId());
    return request;
  },
  onResponse({ request, response }) {
    if (response.status === 401 && request.headers.get("authorization") === `Bearer ${session.key ?? ""}`) {
      session.signOut();
    }
  },
};

export const api = createClient<paths>({ baseUrl: location.origin, headers: { accept: "application/json" } });
api.use(signed);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer of a call, or the problem it ended with, thrown. */
export async function answerOf<T>(call: Promise<Answer<T>>): Promise<NonNullable<T>> {
  const { data, error, response } = await call;
  if (!response.ok || data === undefined || data === null) throw problemOf(response.status, error);
  return data;
}
