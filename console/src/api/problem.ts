/** What the server says when it does not do something (RFC 9457), and what happens when it says nothing. */

export interface FieldProblem {
  path: string;
  message: string;
}

/** A refused request. `code` is stable; `fields` name what is wrong and how it is put right. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    detail: string,
    readonly fields: readonly FieldProblem[] = [],
    readonly retryAfterS: number | null = null,
  ) {
    super(detail);
  }

  /** Whether the same request may succeed by itself a moment later. */
  get passes(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);

/** The problem in a body that came with `status`; a body that is none still gives one. */
export function problemOf(status: number, body: unknown): ProblemError {
  const said = isRecord(body) ? body : {};
  const fields = Array.isArray(said["errors"])
    ? said["errors"].filter(isRecord).map((row) => ({ path: text(row["path"]) ?? "", message: text(row["message"]) ?? "" }))
    : [];
  const wait = said["retry_after_s"];
  return new ProblemError(
    status,
    text(said["code"]) ?? `http.${status}`,
    text(said["title"]) ?? "",
    text(said["detail"]) ?? "",
    fields,
    typeof wait === "number" ? wait : null,
  );
}

/** Anything that was thrown, as a problem: what is no answer at all has status 0. */
export function asProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  return new ProblemError(0, "server.unreachable", "", error instanceof Error ? error.message : String(error));
}
