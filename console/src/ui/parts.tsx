/** The plain parts that all rooms are made of. */

import { useEffect, useRef, type ReactNode } from "react";
import { Link, takeEntrance } from "../app/router";

export type Tone = "good" | "warn" | "bad" | "accent" | "quiet";

export function Badge({ tone = "quiet", children }: { tone?: Tone; children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

interface PanelProps {
  title: ReactNode;
  beside?: ReactNode;
  note?: ReactNode;
  children: ReactNode;
  id?: string;
}

export function Panel({ title, beside, note, children, id }: PanelProps) {
  return (
    <section className="panel" id={id}>
      <header>
        <h2>{title}</h2>
        {beside !== undefined && <div className="row">{beside}</div>}
      </header>
      {children}
      {note !== undefined && <p className="note">{note}</p>}
    </section>
  );
}

interface StatProps {
  label: string;
  value: ReactNode;
  under?: ReactNode;
  tone?: Tone;
  to?: string;
}

/** One number at a glance. */
export function Stat({ label, value, under, tone, to }: StatProps) {
  const inside = (
    <>
      <span className="label">{label}</span>
      <span className="value">{value}</span>
      <span className={`under ${tone ?? ""}`}>{under}</span>
    </>
  );
  return to === undefined ? (
    <div className="stat">{inside}</div>
  ) : (
    <Link className="stat" to={to}>
      {inside}
    </Link>
  );
}

export function Head({ title, crumb, beside }: { title: ReactNode; crumb?: ReactNode; beside?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (takeEntrance()) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div className="head">
      <div>
        {crumb !== undefined && <span className="crumb">{crumb}</span>}
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
      </div>
      {beside !== undefined && <div className="row">{beside}</div>}
    </div>
  );
}

interface SelectProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  options: readonly (readonly [value: string, text: string])[];
}

/** A filter: its name is spoken, and shown by its first choice. */
export function Select({ label, value, onChange, options }: SelectProps) {
  return (
    <select className="select" aria-label={label} value={value} onChange={(event) => onChange(event.target.value)}>
      {options.map(([each, text]) => (
        <option key={each} value={each}>
          {text}
        </option>
      ))}
    </select>
  );
}

export function Facts({ rows }: { rows: readonly (readonly [ReactNode, ReactNode])[] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value], i) => (
        <FactRow key={i} name={name} value={value} />
      ))}
    </dl>
  );
}

function FactRow({ name, value }: { name: ReactNode; value: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

export function Bar({ share, tone = "", label }: { share: number; tone?: "" | "warn" | "bad"; label: string }) {
  return (
    <div className="bar" role="img" aria-label={label}>
      <i className={tone} style={{ width: `${Math.min(100, Math.max(0, share * 100))}%` }} />
    </div>
  );
}
