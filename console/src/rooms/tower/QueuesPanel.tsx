import { useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { queueDepths } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";

export function QueuesPanel() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const queues = useQuery(queueDepths);
  return (
    <Panel title={text("tower.queues")} note={text("tower.queues_note")}>
      <Loaded
        query={queues}
        isEmpty={(data) => data.to_ship.fulfilments === 0 && data.queues.every((queue) => queue.orders === 0)}
        empty={<Empty icon="check" title={text("tower.nothing_waits")}>{text("tower.nothing_waits_hint")}</Empty>}
      >
        {(data) => (
          <Table
            columns={[
              [text("tower.queue")],
              [text("tower.queue_orders"), "end"],
              [text("tower.past_due"), "end"],
              [text("tower.oldest"), "end"],
            ]}
          >
            {data.queues
              .filter((queue) => queue.orders > 0)
              .map((queue) => (
                <tr key={queue.queue} className="goes">
                  <th scope="row">
                    <Link className="leads" to={`/orders?queue=${queue.queue}`}>
                      {word("queue", queue.queue)}
                    </Link>
                    <div className="small soft">{text(`queue_next.${queue.queue}`)}</div>
                  </th>
                  <td className="end strong">{format.number(queue.orders)}</td>
                  <td className={`end ${queue.past_due > 0 ? "bad strong" : "soft"}`}>{format.number(queue.past_due)}</td>
                  <td className="end soft nowrap">{queue.oldest_at === null ? "" : format.ago(queue.oldest_at)}</td>
                </tr>
              ))}
            {data.to_ship.fulfilments > 0 && (
              <tr className="goes">
                <th scope="row">
                  <Link className="leads" to="/orders?status=sourced">
                    {text("tower.to_ship")}
                  </Link>
                  <div className="small soft">{text("tower.to_ship_next")}</div>
                </th>
                <td className="end strong">{format.number(data.to_ship.fulfilments)}</td>
                <td className={`end ${data.to_ship.past_due > 0 ? "bad strong" : "soft"}`}>{format.number(data.to_ship.past_due)}</td>
                <td className="end soft nowrap">
                  {/* When it was to leave: of what is not late that lies ahead, and is no age. */}
                  {data.to_ship.oldest_at === null || data.to_ship.past_due === 0 ? "" : format.ago(data.to_ship.oldest_at)}
                </td>
              </tr>
            )}
          </Table>
        )}
      </Loaded>
    </Panel>
  );
}
