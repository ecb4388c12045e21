/** The text of a version, to be changed: checked while it is typed, compared with what decides, saved as a new version. */

import { useQuery } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState } from "react";
import type { Schema } from "../../api/client";
import { useText } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Badge, Panel } from "../../ui/parts";
import { Failure, Loaded, Skeleton } from "../../ui/states";
import { diff, hunks, linesOf } from "./diff";
import { lint, oneVersion, savePolicy, type Version } from "./queries";

const PAUSE_MS = 400;
const MARKS = { same: " ", added: "+", removed: "-" } as const;

interface Props {
  policy: Schema["PolicyOut"];
  version: number;
  /** What somebody made of it; undefined: nothing yet. */
  written: string | undefined;
  onWrite: (text: string) => void;
  onSaved: (version: number) => void;
}

export function Editor(props: Props) {
  const version = useQuery(oneVersion(props.policy.name, props.version));
  return <Loaded query={version} lines={14}>{(data) => <Open key={data.version} {...props} of={data} />}</Loaded>;
}

function Open({ policy, of, written, onWrite, onSaved }: Props & { of: Version }) {
  const text = useText();
  const value = written ?? of.text;
  const checked = useSettled(value);
  const linted = useQuery(lint(policy.name, checked));
  const findings = checked === value ? (linted.data?.findings ?? []) : [];
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const id = useId();
  const save = useAction({
    call: () => savePolicy(policy.name, value),
    done: (saved) => text(saved.version > policy.latest ? "policies.was_saved" : "policies.says_the_same", { version: saved.label }),
    changes: [["policies"]],
    after: (saved) => onSaved(saved.version),
  });
  const lines = linesOf(value).length;
  const worst = new Map<number, string>();
  for (const { line, severity } of findings) if (worst.get(line) !== "error") worst.set(line, severity);

  const goTo = (line: number, column: number) => {
    const starts = value.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    area.current?.focus();
    area.current?.setSelectionRange(starts + column - 1, starts + column - 1);
  };
  return (
    <Panel
      title={text("policies.text_of", { version: of.label })}
      beside={
        <>
          <Verdict isChecking={checked !== value || linted.isPending} linted={linted.data} />
          <button
            type="button"
            className="button main"
            disabled={written === undefined || written === of.text || linted.data?.is_usable === false || save.isPending}
            onClick={() => save.mutate(undefined)}
          >
            {text("policies.save")}
          </button>
        </>
      }
      note={text("policies.save_note")}
    >
      {save.isError && <Failure error={save.error} />}
      {linted.isError && <Failure error={linted.error} onRetry={() => void linted.refetch()} />}
      <div className="editor">
        <pre ref={gutter} aria-hidden="true">
          {Array.from({ length: lines }, (_, i) => (
            <span key={i} className={worst.get(i + 1) ?? ""}>{`${i + 1}\n`}</span>
          ))}
        </pre>
        <textarea
          ref={area}
          aria-label={text("policies.text")}
          aria-describedby={id}
          aria-invalid={linted.data?.is_usable === false}
          wrap="off"
          spellCheck={false}
          autoCapitalize="off"
          rows={Math.min(28, Math.max(10, lines + 1))}
          value={value}
          onChange={(event) => onWrite(event.target.value)}
          onScroll={(event) => {
            if (gutter.current !== null) gutter.current.scrollTop = event.currentTarget.scrollTop;
          }}
        />
      </div>
      <ul id={id} className="list" aria-live="polite">
        {findings.map((finding, i) => (
          <li key={i} className="small">
            <button type="button" className="button quiet" onClick={() => goTo(finding.line, finding.column)}>
              {text("policies.line", { line: finding.line, column: finding.column })}
            </button>{" "}
            <Badge tone={finding.severity === "error" ? "bad" : "warn"}>{text(`policies.${finding.severity}`)}</Badge>{" "}
            {finding.path !== "" && <b>{finding.path}: </b>}
            {finding.message}
            {finding.remedy !== "" && <span className="soft"> {finding.remedy}</span>}
          </li>
        ))}
      </ul>
      {policy.active !== null && <Changes policy={policy} active={policy.active} value={value} />}
    </Panel>
  );
}

function Verdict({ isChecking, linted }: { isChecking: boolean; linted: Schema["LintOut"] | undefined }) {
  const text = useText();
  if (isChecking || linted === undefined) return <Badge>{text("policies.checking")}</Badge>;
  const errors = linted.findings.filter((finding) => finding.severity === "error").length;
  if (errors > 0) return <Badge tone="bad">{text("policies.errors", { count: errors })}</Badge>;
  const warnings = linted.findings.length;
  return <Badge tone={warnings > 0 ? "warn" : "good"}>{warnings > 0 ? text("policies.warnings", { count: warnings }) : text("policies.is_usable")}</Badge>;
}

/** What the text says otherwise than the version that decides. */
function Changes({ policy, active, value }: { policy: Schema["PolicyOut"]; active: number; value: string }) {
  const text = useText();
  const version = useQuery(oneVersion(policy.name, active));
  if (version.data === undefined) return version.isError ? <Failure error={version.error} /> : <Skeleton lines={2} />;
  const lines = diff(version.data.text, value);
  const count = lines.filter((line) => line.kind !== "same").length;
  if (count === 0) return <p className="note">{text("policies.same_as_active", { version: version.data.label })}</p>;
  return (
    <details className="data" open>
      <summary>{text("policies.differs", { count, version: version.data.label })}</summary>
      <pre className="diff" tabIndex={0} role="region" aria-label={text("policies.differs", { count, version: version.data.label })}>
        {hunks(lines).map((line, i) =>
          line === null ? (
            <span key={i} className="gap">⋯</span>
          ) : (
            <span key={i} className={line.kind}>{`${MARKS[line.kind]} ${line.text}`}</span>
          ),
        )}
      </pre>
    </details>
  );
}

/** The value, once it has not changed for a moment. */
function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
