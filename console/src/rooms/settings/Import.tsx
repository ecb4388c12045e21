/** Rows of a file: shown, matched with fields, checked by the server without being written; then the good ones written. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { newId } from "../../api/client";
import { useParameter } from "../../app/router";
import { useFormat } from "../../i18n/format";
import { useText, useWord, type Message } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Panel, Select } from "../../ui/parts";
import { Failure, Loaded } from "../../ui/states";
import { counted, KINDS, send, type Kind, type Outcome, type What } from "./batches";
import { asCsv, readSheet, UnreadableFile, type Sheet } from "./csv";
import { documentOf, fieldsOf, matched, type Field } from "./fields";
import { description } from "./queries";

const SHOWN = 5;
const REJECTS_SHOWN = 50;
const WHATS = Object.keys(KINDS) as What[];

interface File {
  name: string;
  sheet: Sheet;
}

export function Import() {
  const text = useText();
  const word = useWord();
  const described = useQuery(description);
  const [asked, setWhat] = useParameter("what");
  const what = WHATS.find((each) => each === asked) ?? "items";
  const [file, setFile] = useState<File | null>(null);
  const [trouble, setTrouble] = useState<UnreadableFile | null>(null);

  const open = async (chosen: globalThis.File | undefined) => {
    if (chosen === undefined) return;
    setFile(null);
    setTrouble(null);
    try {
      setFile({ name: chosen.name, sheet: readSheet(await chosen.text()) });
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error;
      setTrouble(error);
    }
  };
  return (
    <>
      <Panel title={text("settings.import")} note={text(`import.${what}_note` as Message)}>
        <div className="inside filters">
          <Select label={text("import.what")} value={what} onChange={setWhat} options={WHATS.map((each) => [each, word("import", each)] as const)} />
          <label className="small">
            {text("import.file")}
            <input
              className="input"
              type="file"
              accept=".csv,.tsv,.txt,.json,text/csv,application/json"
              onChange={(event) => void open(event.target.files?.[0])}
            />
          </label>
        </div>
        {trouble !== null && (
          <p className="inside bad" role="alert">
            {text(`import.unreadable_${trouble.reason}`, { line: trouble.line })}
          </p>
        )}
      </Panel>
      {file !== null && (
        <Loaded query={described}>
          {(api) => {
            const { path, member } = KINDS[what];
            return <Opened key={`${what} ${file.name}`} what={what} file={file} fields={fieldsOf(api, path, member)} />;
          }}
        </Loaded>
      )}
    </>
  );
}

function Opened({ what, file, fields }: { what: What; file: File; fields: readonly Field[] }) {
  const text = useText();
  const client = useQueryClient();
  const kind: Kind = KINDS[what];
  const { sheet } = file;
  const [mapping, setMapping] = useState(() => matched(sheet.columns, fields));
  const [checked, setChecked] = useState<Outcome[] | null>(null);
  const [written, setWritten] = useState<Outcome[] | null>(null);
  const [isAsked, setAsked] = useState(false);
  const [done, setDone] = useState(0);
  const [id] = useState(newId);
  const documents = () => sheet.rows.map((row) => documentOf(row.cells, mapping, fields, kind.constants));
  const used = new Set(Object.values(mapping));
  const missing = fields.filter((field) => field.isRequired && !used.has(field.name) && kind.constants?.[field.name] === undefined);

  const check = useAction({
    call: () => send(kind, documents(), { isTrial: true, onProgress: setDone }),
    done: (outcomes) => text("import.was_checked", { count: outcomes.length }),
    changes: [],
    after: setChecked,
  });
  const write = useAction({
    call: async () => {
      const rows = documents();
      const good = rows.flatMap((_, i) => (checked?.[i]?.status === "rejected" ? [] : [i]));
      const outcomes = await send(kind, good.map((i) => rows[i]), { isTrial: false, id, onProgress: setDone });
      const all = [...(checked ?? [])];
      for (const [k, i] of good.entries()) all[i] = outcomes[k] ?? { status: "rejected", problem: "" };
      return all;
    },
    done: (all) => text("import.was_written", { count: all.filter((each) => each.status !== "rejected").length }),
    changes: [],
    after: (all) => {
      setWritten(all);
      setAsked(false);
      void client.invalidateQueries();
    },
  });
  const outcomes = written ?? checked;
  const good = checked?.filter((each) => each.status !== "rejected").length ?? 0;
  return (
    <>
      <Panel
        title={text("import.rows", { count: sheet.rows.length, file: file.name })}
        beside={
          written === null && (
            <>
              <button type="button" className={`button ${checked === null ? "main" : ""}`} disabled={check.isPending || missing.length > 0} onClick={() => check.mutate(undefined)}>
                {check.isPending ? text("import.done_of", { done, count: sheet.rows.length }) : text("import.check")}
              </button>
              {checked !== null && (
                <button type="button" className="button main" disabled={good === 0} onClick={() => setAsked(true)}>
                  {text("import.write", { count: good })}
                </button>
              )}
            </>
          )
        }
        note={missing.length > 0 ? <span className="bad">{text("import.missing", { fields: missing.map((field) => field.name).join(", ") })}</span> : text("import.preview", { count: Math.min(SHOWN, sheet.rows.length) })}
      >
        {check.isError && <Failure error={check.error} />}
        <Preview
          sheet={sheet}
          fields={fields}
          mapping={mapping}
          isFixed={written !== null}
          onMap={(column, name) => {
            setMapping({ ...mapping, [column]: name });
            setChecked(null);
          }}
        />
      </Panel>
      {outcomes !== null && <Outcomes file={file} outcomes={outcomes} isWritten={written !== null} />}
      {isAsked && (
        <Ask
          title={text("import.write", { count: good })}
          what={
            <>
              <p>{text(`import.${what}_what` as Message)}</p>
              {checked !== null && checked.length > good && <p>{text("import.left_out", { count: checked.length - good })}</p>}
            </>
          }
          confirm={text("import.do")}
          isBusy={write.isPending}
          error={write.error}
          onConfirm={() => write.mutate(undefined)}
          onClose={() => setAsked(false)}
        />
      )}
    </>
  );
}

interface PreviewProps {
  sheet: Sheet;
  fields: readonly Field[];
  mapping: Record<string, string>;
  isFixed: boolean;
  onMap: (column: string, field: string) => void;
}

function Preview({ sheet, fields, mapping, isFixed, onMap }: PreviewProps) {
  const text = useText();
  const used = new Set(Object.values(mapping));
  return (
    <div className="table-wrap" tabIndex={0} role="region" aria-label={text("import.mapping")}>
      <table className="table dense preview">
        <thead>
          <tr>
            <th scope="col">{text("import.line")}</th>
            {sheet.columns.map((column) => (
              <th key={column} scope="col">
                <div className="stack tight">
                  {column}
                  <select
                    className="select"
                    aria-label={text("import.field_of", { column })}
                    title={fields.find((field) => field.name === mapping[column])?.about}
                    value={mapping[column]}
                    disabled={isFixed}
                    onChange={(event) => onMap(column, event.target.value)}
                  >
                    <option value="">{text("import.no_field")}</option>
                    {fields.map((field) => (
                      <option key={field.name} disabled={used.has(field.name) && mapping[column] !== field.name}>
                        {field.name}
                      </option>
                    ))}
                  </select>
                </div>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sheet.rows.slice(0, SHOWN).map((row) => (
            <tr key={row.line}>
              <td className="soft">{row.line}</td>
              {sheet.columns.map((column) => {
                const value = row.cells[column];
                return (
                  <td key={column} className={mapping[column] === "" ? "soft" : ""}>
                    {typeof value === "object" ? JSON.stringify(value) : String(value ?? "")}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Outcomes({ file, outcomes, isWritten }: { file: File; outcomes: readonly Outcome[]; isWritten: boolean }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const { rows, columns } = file.sheet;
  const rejects = outcomes.flatMap((outcome, i) => (outcome.status === "rejected" ? [{ row: rows[i], problem: outcome.problem }] : []));
  const download = () => {
    const sheet = asCsv([...columns, "line", "problem"], rejects.map(({ row, problem }) => ({ ...row?.cells, line: row?.line, problem })));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([sheet], { type: "text/csv" }));
    link.download = `${file.name.replace(/\.\w+$/, "")}-rejects.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <Panel
      title={text(isWritten ? "import.written" : "import.checked")}
      beside={
        rejects.length > 0 && (
          <button type="button" className="button" onClick={download}>
            {text("import.download")}
          </button>
        )
      }
    >
      <p className="inside row">
        {Object.entries(counted(outcomes)).map(([status, count]) => (
          <Badge key={status} tone={status === "rejected" ? "bad" : status === "unchanged" ? "quiet" : "good"}>
            {format.number(count)} {word(isWritten ? "became" : "would_be", status)}
          </Badge>
        ))}
      </p>
      {rejects.length > 0 && (
        <ul className="list">
          {rejects.slice(0, REJECTS_SHOWN).map(({ row, problem }) => (
            <li key={row?.line} className="small">
              <b>{text("import.line_no", { line: row?.line ?? 0 })}</b> <span className="breaks">{problem}</span>
            </li>
          ))}
        </ul>
      )}
      {rejects.length > REJECTS_SHOWN && <p className="note">{text("import.more_rejects", { count: rejects.length - REJECTS_SHOWN })}</p>}
    </Panel>
  );
}
