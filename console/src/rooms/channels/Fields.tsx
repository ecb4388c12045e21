/** The fields of a form that a connector's schema asks for. */

import { useId } from "react";
import { useText } from "../../i18n/text";
import type { Field, Trouble, Typed } from "./form";

interface Props {
  fields: readonly Field[];
  typed: Typed;
  wrong: Record<string, Trouble>;
  onType: (name: string, text: string) => void;
}

export function Fields({ fields, typed, wrong, onType }: Props) {
  const text = useText();
  // What is required or already said is in sight; the rest is one click away.
  const isSeen = (field: Field) => field.isRequired || (typed[field.name] ?? "") !== "" || field.kind === "secret";
  const rest = fields.filter((field) => !isSeen(field));
  const show = (field: Field) => (
    <Input key={field.name} field={field} typed={typed[field.name] ?? ""} wrong={wrong[field.name]} onType={(value) => onType(field.name, value)} />
  );
  return (
    <>
      {fields.filter(isSeen).map(show)}
      {rest.length > 0 && (
        <details className="rest">
          <summary>{text("connecting.more", { count: rest.length })}</summary>
          <div className="stack tight">{rest.map(show)}</div>
        </details>
      )}
    </>
  );
}

interface InputProps {
  field: Field;
  typed: string;
  wrong: Trouble | undefined;
  onType: (text: string) => void;
}

function Input({ field, typed, wrong, onType }: InputProps) {
  const text = useText();
  const id = useId();
  const { kind, usual } = field;
  const yesNo = (value: string) => text(value === "true" ? "connecting.yes" : "connecting.no");
  const shared = {
    id,
    value: typed,
    "aria-describedby": `${id}-hint`,
    "aria-invalid": wrong !== undefined,
    onChange: (event: { target: { value: string } }) => onType(event.target.value),
  };
  const choices = kind === "boolean" ? ["true", "false"] : kind === "choice" ? field.choices : null;
  const hints = [
    field.description,
    kind === "map" && text("connecting.map_hint"),
    kind === "document" && text("connecting.document_hint"),
    field.example !== "" && text("connecting.for_example", { value: field.example }),
    usual !== "" && choices === null && text("connecting.usually", { value: usual }),
  ].filter(Boolean);
  return (
    <div className="field">
      <label htmlFor={id}>
        {field.name.replaceAll("_", " ")}
        {!field.isRequired && <span className="soft"> · {text("connecting.optional")}</span>}
      </label>
      {choices !== null ? (
        <select className="select" {...shared}>
          <option value="">{usual === "" ? "–" : text("connecting.usually", { value: kind === "boolean" ? yesNo(usual) : usual })}</option>
          {choices.map((each) => (
            <option key={each} value={each}>
              {kind === "boolean" ? yesNo(each) : each}
            </option>
          ))}
        </select>
      ) : kind === "map" || kind === "document" ? (
        <textarea className="input" rows={kind === "map" ? 3 : 6} spellCheck={false} {...shared} />
      ) : (
        <input
          className="input"
          type={kind === "secret" ? "password" : "text"}
          inputMode={kind === "url" ? "url" : kind === "integer" ? "numeric" : "text"}
          autoComplete={kind === "secret" ? "new-password" : "off"}
          spellCheck={false}
          {...shared}
        />
      )}
      <span id={`${id}-hint`} className="small soft breaks">
        {wrong !== undefined && <strong className="bad">{text(`connecting.wrong_${wrong}`)} </strong>}
        {hints.join(" · ")}
      </span>
    </div>
  );
}
