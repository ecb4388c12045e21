import { useQuery } from "@tanstack/react-query";
import { oneShipment } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge } from "../../ui/parts";
import type { Detail } from "./Order";

/** Where a parcel is, and when it will be there. */
export function Tracking({ shipment }: { shipment: Detail["shipments"][number] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const { data } = useQuery(oneShipment(shipment.shipment_id));
  const isLate = data?.likely_late_since != null && data.delivered_at === null;
  return (
    <div className="row apart small">
      <span className="row tight">
        <span className="soft">{shipment.tracking ?? text("order.no_tracking")}</span>
        {data !== undefined && <span>{word("milestone", data.status)}</span>}
        {isLate && <Badge tone="bad">{text("order.likely_late", { share: format.percent(data.p_late ?? 0) })}</Badge>}
      </span>
      <span className="soft">
        {data?.delivered_at != null
          ? text("order.delivered_at", { time: format.moment(data.delivered_at) })
          : data?.prediction != null
            ? text("order.predicted", { from: format.day(data.prediction.p10), to: format.day(data.prediction.p90) })
            : text("order.shipped_at", { time: format.moment(shipment.shipped_at) })}
      </span>
    </div>
  );
}
