/** What came of a test of a connection: each thing the connector can do, the vendor's words, and what to do. */

import type { Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge } from "../../ui/parts";
import { toneOf } from "../../ui/words";

export function Tried({ found }: { found: Schema["ChannelTriedOut"] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const asked = found.checks.filter((check) => check.verdict !== "untried" || check.reason === "given_up");
  const left = found.checks.filter((check) => !asked.includes(check));
  return (
    <>
      <ul className="list">
        {asked.map((check) => (
          <li key={check.capability} className="stack tight" style={{ gap: 4 }}>
            <span className="row apart">
              <b>{check.capability}</b>
              <Badge tone={toneOf(check.verdict)}>{word("verdict", check.verdict)}</Badge>
            </span>
            <span className="small soft">
              {[
                check.status !== null && text("connecting.status", { status: String(check.status) }),
                check.took_ms !== null &&
                  (check.read === null
                    ? text("connecting.answered", { time: format.span(check.took_ms / 1000) })
                    : text("connecting.read", { count: check.read, time: format.span(check.took_ms / 1000) })),
                (check.rejected ?? 0) > 0 && text("connecting.rejected", { count: check.rejected ?? 0 }),
              ]
                .filter(Boolean)
                .join(" · ")}
            </span>
            {check.said !== "" && <q className="small breaks">{check.said}</q>}
            {check.reason !== null && <span className={check.verdict === "failed" ? "bad" : "small soft"}>{text(`remedy.${check.reason}`)}</span>}
          </li>
        ))}
      </ul>
      {left.length > 0 && <p className="note">{text("connecting.untried_list", { what: left.map((check) => check.capability).join(", ") })}</p>}
    </>
  );
}
