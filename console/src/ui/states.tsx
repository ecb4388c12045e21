/** What is shown while something is read, when there is nothing, and when it failed. */

import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { asProblem } from "../api/problem";
import { useText, type Message } from "../i18n/text";
import { Icon, type IconName } from "./icons";

export function Skeleton({ lines = 4 }: { lines?: number }) {
  const text = useText();
  return (
    <div className="bones" role="status">
      <span className="hidden-visually">{text("state.loading")}</span>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} className="bone" style={{ width: `${88 - ((i * 23) % 45)}%` }} />
      ))}
    </div>
  );
}

interface EmptyProps {
  icon?: IconName;
  title: ReactNode;
  children?: ReactNode;
}

export function Empty({ icon = "calm", title, children }: EmptyProps) {
  return (
    <div className="empty">
      <Icon name={icon} />
      <strong>{title}</strong>
      {children !== undefined && <p>{children}</p>}
    </div>
  );
}

const REMEDIES: Record<number, Message> = {
  0: "problem.unreachable",
  401: "problem.401",
  403: "problem.403",
  404: "problem.404",
  409: "problem.409",
  422: "problem.422",
  503: "problem.503",
};

/** A problem document: what it says, each field with its remedy, and what can be done. */
export function Failure({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) {
  const text = useText();
  const problem = asProblem(error);
  const remedy = REMEDIES[problem.status] ?? (problem.status >= 500 ? "problem.500" : null);
  return (
    <div className="failure" role="alert">
      <strong>{problem.status === 0 ? text("problem.unreachable_title") : text("problem.title")}</strong>
      {problem.fields.length > 0 ? (
        <ul>
          {problem.fields.map((field, i) => (
            <li key={i}>
              {field.path !== "" && <b>{field.path}: </b>}
              {field.message}
            </li>
          ))}
        </ul>
      ) : (
        problem.status !== 0 && <p className="breaks">{problem.message}</p>
      )}
      {remedy !== null && <p className="small">{text(remedy)}</p>}
      <div className="row">
        {onRetry !== undefined && (
          <button type="button" className="button" onClick={onRetry}>
            {text("action.retry")}
          </button>
        )}
        <span className="small soft">{problem.code}</span>
      </div>
    </div>
  );
}

interface LoadedProps<T> {
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
  lines?: number;
  isEmpty?: (data: T) => boolean;
  empty?: ReactNode;
}

/** The data of a query, or the state it is in. What was read before stays while a later reading fails. */
export function Loaded<T>({ query, children, lines, isEmpty, empty }: LoadedProps<T>) {
  if (query.data === undefined) {
    if (query.isError) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
    return <Skeleton lines={lines ?? 4} />;
  }
  return (
    <>
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {isEmpty?.(query.data) === true ? empty : children(query.data)}
    </>
  );
}
