/** Tells the ledger what somebody counted. */

import { useState } from "react";
import { ProblemError } from "../../api/problem";
import { answerOf, api, type Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";

interface Props {
  sku: string;
  positions: readonly Schema["StockOut"][];
  onClose: () => void;
}

export function Count({ sku, positions, onClose }: Props) {
  const text = useText();
  const format = useFormat();
  const [node, setNode] = useState(positions[0]?.node ?? "");
  const [units, setUnits] = useState("");
  const [reason, setReason] = useState("");
  const position = positions.find((each) => each.node === node);
  const counted = units === "" ? null : Number(units);
  const action = useAction({
    call: async () => {
      const entry = { kind: "count" as const, sku, node, quantity: counted ?? 0, ...(reason.trim() === "" ? {} : { reason: reason.trim() }) };
      const { results } = await answerOf(api.POST("/v1/stock/entries", { body: { entries: [entry] } }));
      const [result] = results;
      // A row of a batch is refused by itself: the batch as such went well.
      if (result?.status !== "applied") throw new ProblemError(422, result?.code ?? "entry.rejected", "", result?.message ?? "");
      return result;
    },
    done: (result) => text("stock.was_counted", { count: result.on_hand ?? 0, node }),
    changes: [["stock"]],
    after: onClose,
  });
  return (
    <Ask
      title={text("stock.count_title", { sku })}
      what={<p>{text("stock.count_what")}</p>}
      confirm={text("stock.count_do")}
      isBusy={action.isPending}
      isReady={node !== "" && counted !== null && Number.isInteger(counted) && counted >= 0}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <label className="field">
        <span>{text("capacity.node")}</span>
        <select className="select" value={node} onChange={(event) => setNode(event.target.value)}>
          {positions.map((each) => (
            <option key={each.node}>{each.node}</option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>{text("stock.counted")}</span>
        <input className="input" type="number" min={0} step={1} required value={units} onChange={(event) => setUnits(event.target.value)} autoFocus />
      </label>
      {position !== undefined && (
        <p className="small soft" aria-live="polite">
          {text("stock.count_before", { on_hand: position.on_hand, allocated: position.allocated })}
          {counted !== null && ` ${text("stock.count_change", { change: format.number(counted - position.on_hand) })}`}
        </p>
      )}
      <label className="field">
        <span>{text("incident.reason")}</span>
        <input className="input" value={reason} maxLength={200} onChange={(event) => setReason(event.target.value)} />
      </label>
    </Ask>
  );
}
