import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Panel } from "../../ui/parts";
import type { Detail } from "./Order";

/** What happened to an order, the newest first. */
export function Timeline({ rows }: { rows: Detail["timeline"] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  return (
    <Panel title={text("order.timeline")}>
      <ol className="timeline">
        {rows.toReversed().map((row, i) => (
          <li key={i}>
            <time className="soft small" dateTime={row.at} title={format.moment(row.at)}>
              {format.time(row.at)}
              <br />
              {format.day(row.at)}
            </time>
            <i />
            <div>
              <b>{word("event", row.kind)}</b>
              <div className="small soft breaks">
                {[typeof row.data["node"] === "string" ? row.data["node"] : null, row.reason, row.actor === 0 ? text("order.by_system") : text("order.by_key", { key: String(row.actor) })]
                  .filter(Boolean)
                  .join(" · ")}
              </div>
            </div>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
