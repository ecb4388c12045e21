/** What a person in customer service does about an order. Each says first what will happen. */

import { useState } from "react";
import { answerOf, api } from "../../api/client";
import { useText } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import type { Detail } from "./Order";
import { Repromise } from "./Repromise";

type Asked = "hold" | "release" | "reroute" | "cancel" | "repromise";

export const CHANGES = [["orders"], ["stock"], ["capacity"], ["costs"]] as const;

export interface AskProps {
  order: Detail;
  onClose: () => void;
}

export function Actions({ order }: { order: Detail }) {
  const text = useText();
  const [asked, setAsked] = useState<Asked | null>(null);
  const close = () => setAsked(null);
  if (["delivered", "cancelled"].includes(order.status)) return null;
  const isOpen = order.status !== "shipped";
  const isHeld = order.status === "held";
  return (
    <>
      <button type="button" className="button" onClick={() => setAsked("repromise")}>
        {text("repromise.do")}
      </button>
      {isHeld ? (
        <button type="button" className="button main" onClick={() => setAsked("release")}>
          {text("order.release")}
        </button>
      ) : isOpen && (
        <>
          <button type="button" className="button" onClick={() => setAsked("reroute")}>
            {text("order.reroute")}
          </button>
          <button type="button" className="button" onClick={() => setAsked("hold")}>
            {text("order.hold_it")}
          </button>
        </>
      )}
      {isOpen && (
        <button type="button" className="button danger" onClick={() => setAsked("cancel")}>
          {text("order.cancel_it")}
        </button>
      )}
      {asked === "repromise" && <Repromise order={order} onClose={close} />}
      {asked === "hold" && <Hold order={order} onClose={close} />}
      {asked === "release" && <Release order={order} onClose={close} />}
      {asked === "reroute" && <Reroute order={order} onClose={close} />}
      {asked === "cancel" && <Cancel order={order} onClose={close} />}
    </>
  );
}

export const path = (order: Detail) => ({ params: { path: { order_id: order.order_id } } });

function Hold({ order, onClose }: AskProps) {
  const text = useText();
  const [reason, setReason] = useState("");
  const action = useAction({
    call: () => answerOf(api.POST("/v1/orders/{order_id}/hold", { ...path(order), body: { reason: reason.trim() } })),
    done: () => text("order.was_held", { order: order.external_id }),
    changes: CHANGES,
    after: onClose,
  });
  return (
    <Ask
      title={text("order.hold_title", { order: order.external_id })}
      what={<p>{text("order.hold_what")}</p>}
      confirm={text("order.hold_it")}
      isBusy={action.isPending}
      isReady={reason.trim() !== ""}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <label className="field">
        <span>{text("order.reason")}</span>
        <input className="input" value={reason} maxLength={200} required onChange={(event) => setReason(event.target.value)} autoFocus />
      </label>
    </Ask>
  );
}

function Release({ order, onClose }: AskProps) {
  const text = useText();
  const action = useAction({
    call: () => answerOf(api.POST("/v1/orders/{order_id}/release", { ...path(order), body: {} })),
    done: () => text("order.was_released", { order: order.external_id }),
    changes: CHANGES,
    after: onClose,
  });
  return (
    <Ask
      title={text("order.release_title", { order: order.external_id })}
      what={<p>{text("order.release_what", { reason: order.hold ?? "–" })}</p>}
      confirm={text("order.release")}
      isBusy={action.isPending}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    />
  );
}

function Reroute({ order, onClose }: AskProps) {
  const text = useText();
  const movable = order.fulfilments.filter((each) => ["allocated", "accepted", "packed", "partly_shipped"].includes(each.status));
  const nodes = [...new Set(movable.map((each) => each.node))];
  const [excluded, setExcluded] = useState<readonly string[]>(nodes.length === 1 ? nodes : []);
  const action = useAction({
    call: () => answerOf(api.POST("/v1/orders/{order_id}/reroute", { ...path(order), body: { exclude: [...excluded] } })),
    done: () => text("order.was_rerouted", { order: order.external_id }),
    changes: CHANGES,
    after: onClose,
  });
  return (
    <Ask
      title={text("order.reroute_title", { order: order.external_id })}
      what={<p>{text("order.reroute_what")}</p>}
      confirm={text("order.reroute")}
      isBusy={action.isPending}
      isReady={excluded.length > 0 || order.waiting.length > 0}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      {nodes.length > 0 && (
        <fieldset>
          <legend>{text("order.take_from")}</legend>
          {nodes.map((node) => (
            <label key={node} className="check">
              <input
                type="checkbox"
                checked={excluded.includes(node)}
                onChange={(event) => setExcluded(event.target.checked ? [...excluded, node] : excluded.filter((each) => each !== node))}
              />
              {node}
            </label>
          ))}
        </fieldset>
      )}
    </Ask>
  );
}

function Cancel({ order, onClose }: AskProps) {
  const text = useText();
  const open = order.lines.filter((line) => line.quantity - line.cancelled - line.shipped > 0);
  const [lines, setLines] = useState<readonly string[]>(open.map((line) => line.line_id));
  const isAll = lines.length === open.length;
  const action = useAction({
    call: () =>
      answerOf(
        api.POST("/v1/orders/{order_id}/cancel", {
          ...path(order),
          body: isAll ? {} : { lines: lines.map((line_id) => ({ line_id })) },
        }),
      ),
    done: () => text("order.was_cancelled", { order: order.external_id, count: lines.length }),
    changes: CHANGES,
    after: onClose,
  });
  return (
    <Ask
      title={text("order.cancel_title", { order: order.external_id })}
      what={<p>{text("order.cancel_what")}</p>}
      confirm={text("order.cancel_it")}
      danger
      isBusy={action.isPending}
      isReady={lines.length > 0}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <fieldset>
        <legend>{text("order.which_lines")}</legend>
        {open.map((line) => (
          <label key={line.line_id} className="check">
            <input
              type="checkbox"
              checked={lines.includes(line.line_id)}
              onChange={(event) => setLines(event.target.checked ? [...lines, line.line_id] : lines.filter((each) => each !== line.line_id))}
            />
            {line.quantity - line.cancelled - line.shipped} × {line.sku}
          </label>
        ))}
      </fieldset>
    </Ask>
  );
}
