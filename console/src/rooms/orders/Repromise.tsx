/** Promise another day: says first which day, and what the customer will be told word by word. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { answerOf, api } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Failure } from "../../ui/states";
import { CHANGES, path, type AskProps } from "./Actions";

export function Repromise({ order, onClose }: AskProps) {
  const text = useText();
  const format = useFormat();
  /** A day of the calendar; empty: what fulfilments, parcels and supply now say. */
  const [day, setDay] = useState("");
  const [tell, setTell] = useState(true);
  const wish = (dry_run: boolean) => ({ dry_run, tell, ...(day === "" ? {} : { deliver_by: atDay(day, order.promise?.deliver_by) }) });
  const ask = (body: ReturnType<typeof wish>) => answerOf(api.POST("/v1/orders/{order_id}/repromise", { ...path(order), body }));
  // Not among the orders: a dry run changes nothing, and an event about this one asks again all the same.
  const said = useQuery({
    queryKey: ["orders", "one", order.order_id, "repromise", day, tell],
    queryFn: () => ask(wish(true)),
    placeholderData: keepPreviousData,
    retry: false,
  });
  const found = said.isError ? undefined : said.data;
  const action = useAction({
    // The day that was shown, whatever has moved since.
    call: () => ask({ ...wish(false), ...(found === undefined ? {} : { deliver_by: found.deliver_by }) }),
    done: (answer) => text("repromise.done", { order: order.external_id, day: format.day(answer.deliver_by) }),
    changes: CHANGES,
    after: onClose,
  });
  return (
    <Ask
      title={text("repromise.title", { order: order.external_id })}
      what={<p>{text("repromise.what")}</p>}
      confirm={text("repromise.confirm")}
      isBusy={action.isPending}
      isReady={found?.is_new === true && !said.isFetching}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <label className="field">
        <span>{text("repromise.day")}</span>
        <input className="input" type="date" value={day} onChange={(event) => setDay(event.target.value)} />
        <span className="small soft">{text("repromise.day_hint")}</span>
      </label>
      <label className="check">
        <input type="checkbox" checked={tell} onChange={(event) => setTell(event.target.checked)} />
        {text("repromise.tell")}
      </label>
      {said.isError && <Failure error={said.error} />}
      {found !== undefined && (
        <div className="stack tight" role="status">
          <p>
            {found.was === null ? "–" : format.day(found.was)} → <b>{format.day(found.deliver_by)}</b>
          </p>
          {found.message === null || found.message === undefined ? (
            <p className="soft">{found.untold != null && text(`repromise.${found.untold}`)}</p>
          ) : (
            <blockquote className="told">
              <b>{found.message.subject}</b>
              {"\n\n"}
              {found.message.text.trim().replace("{customer.name}", text("repromise.name"))}
            </blockquote>
          )}
        </div>
      )}
    </Ask>
  );
}

/** That day at the time of day of the promise that stands, else at the day's end. */
function atDay(day: string, promise: string | undefined): string {
  const at = new Date(`${day}T23:59:00`);
  if (promise !== undefined) {
    const was = new Date(promise);
    at.setHours(was.getHours(), was.getMinutes(), was.getSeconds(), was.getMilliseconds());
  }
  return at.toISOString();
}
