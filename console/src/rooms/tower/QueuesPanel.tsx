import { useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { queueDepths } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";

export function QueuesPanel() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const queues = useQuery(queueDepths);
  return (
    <Panel title={text("tower.queues")}>
      <Loaded
        query={queues}
        isEmpty={(data) => data.every((queue) => queue.orders === 0)}
        empty={<Empty icon="check" title={text("tower.nothing_waits")}>{text("tower.nothing_waits_hint")}</Empty>}
      >
        {(data) => (
          <div className="table-wrap">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{text("tower.queue")}</th>
                  <th scope="col" className="end">{text("tower.queue_orders")}</th>
                  <th scope="col" className="end">{text("tower.oldest")}</th>
                </tr>
              </thead>
              <tbody>
                {data
                  .filter((queue) => queue.orders > 0)
                  .map((queue) => (
                    <tr key={queue.queue} className="goes">
                      <th scope="row">
                        <Link className="leads" to={`/orders?queue=${queue.queue}`}>
                          {word("queue", queue.queue)}
                        </Link>
                        <div className="small soft">{text(`queue_next.${queue.queue}`)}</div>
                      </th>
                      <td className="end strong">
                        {format.number(queue.orders)}
                        {!queue.isWhole && "+"}
                      </td>
                      <td className="end soft nowrap">{queue.isWhole && queue.oldest !== null ? format.ago(queue.oldest) : ""}</td>
                    </tr>
                  ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Panel>
  );
}
