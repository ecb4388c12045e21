import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useParameter } from "../../app/router";
import { answerOf, api, type Schema } from "../../api/client";
import { problemOf } from "../../api/problem";
import { useFormat } from "../../i18n/format";
import { useText, useWord, type Message } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Panel, Select } from "../../ui/parts";
import { Paged } from "../../ui/paged";
import { Empty, Loaded } from "../../ui/states";
import { useDeliveries, webhooks } from "./queries";
import { Secret } from "./Secret";

type Webhook = Schema["Webhook"];
type Act = "enable" | "replay" | "delete";

const KEYS = [["webhooks"]] as const;
const STATUSES = ["due", "delivered", "dead"] as const;

export function Webhooks() {
  const text = useText();
  const all = useQuery(webhooks);
  const [shown, setShown] = useParameter("webhook");
  const [isAsked, setAsked] = useState(false);
  const [asked, setAct] = useState<{ act: Act; of: Webhook } | null>(null);
  const [made, setMade] = useState<Schema["CreatedWebhook"] | null>(null);
  return (
    <>
      {made?.secret != null && (
        <Secret title={text("webhooks.secret", { url: made.url })} hint={text("webhooks.once")} value={made.secret} onClose={() => setMade(null)} />
      )}
      <Panel
        title={text("settings.webhooks")}
        note={text("webhooks.note")}
        beside={
          <button type="button" className="button main" onClick={() => setAsked(true)}>
            {text("webhooks.create")}
          </button>
        }
      >
        <Loaded query={all} isEmpty={(data) => data.rows.length === 0} empty={<Empty icon="channels" title={text("webhooks.none")} />}>
          {({ rows }) => (
            <ul className="list">
              {rows.map((row) => (
                <li key={row.webhook_id} className={row.webhook_id === shown ? "chosen" : ""}>
                  <Endpoint
                    webhook={row}
                    isShown={row.webhook_id === shown}
                    onShow={() => setShown(row.webhook_id === shown ? null : row.webhook_id)}
                    onAct={(act) => setAct({ act, of: row })}
                  />
                </li>
              ))}
            </ul>
          )}
        </Loaded>
      </Panel>
      {shown !== "" && <Deliveries webhook_id={shown} />}
      {isAsked && <Create onMade={setMade} onClose={() => setAsked(false)} />}
      {asked !== null && (
        <Do
          {...asked}
          onDone={() => {
            if (asked.act === "delete" && asked.of.webhook_id === shown) setShown(null, { replace: true });
            setAct(null);
          }}
          onClose={() => setAct(null)}
        />
      )}
    </>
  );
}

function Endpoint({ webhook, isShown, onShow, onAct }: { webhook: Webhook; isShown: boolean; onShow: () => void; onAct: (act: Act) => void }) {
  const text = useText();
  const format = useFormat();
  const button = (act: Act, danger = "") => (
    <button type="button" className={`button ${danger}`} onClick={() => onAct(act)}>
      {text(`webhooks.${act}`)}
      <span className="hidden-visually"> {webhook.url}</span>
    </button>
  );
  return (
    <div className="stack tight">
      <span className="row">
        <b className="breaks">{webhook.url}</b>
        {webhook.active ? (
          <Badge tone={webhook.failing_since === null ? "good" : "warn"}>
            {webhook.failing_since === null ? text("webhooks.on") : text("webhooks.failing", { time: format.ago(webhook.failing_since) })}
          </Badge>
        ) : (
          <Badge tone="bad">{text("webhooks.off")}</Badge>
        )}
      </span>
      <span className="small soft breaks">{webhook.kinds.join(", ")}</span>
      <span className="row">
        <button type="button" className="button" aria-expanded={isShown} onClick={onShow}>
          {text("webhooks.deliveries")}
          <span className="hidden-visually"> {webhook.url}</span>
        </button>
        {button("replay")}
        {!webhook.active && button("enable")}
        {button("delete", "danger")}
      </span>
    </div>
  );
}

function Deliveries({ webhook_id }: { webhook_id: string }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [status, setStatus] = useParameter("status");
  const deliveries = useDeliveries(webhook_id, status);
  return (
    <Panel
      title={text("webhooks.deliveries")}
      beside={
        <Select
          label={text("webhooks.status")}
          value={status}
          onChange={setStatus}
          options={[["", text("webhooks.any_status")], ...STATUSES.map((each) => [each, word("delivery", each)] as const)]}
        />
      }
    >
      <Paged query={deliveries} empty={<Empty title={text("webhooks.no_deliveries")} />}>
        {(rows) => (
          <ul className="list">
            {rows.map((row) => (
              <li key={row.delivery_id} className="small">
                <b>{row.type}</b> <span className="soft breaks">{row.subject}</span>{" "}
                <Badge tone={row.status === "delivered" ? "good" : row.status === "dead" ? "bad" : "quiet"}>{word("delivery", row.status)}</Badge>
                <br />
                <span className="soft breaks">
                  {format.moment(row.created_at)} · {text("webhooks.attempts", { count: row.attempts })}
                  {row.last_error !== null && ` · ${row.last_error}`}
                </span>
              </li>
            ))}
          </ul>
        )}
      </Paged>
    </Panel>
  );
}

function Create({ onMade, onClose }: { onMade: (webhook: Schema["CreatedWebhook"]) => void; onClose: () => void }) {
  const text = useText();
  const [url, setUrl] = useState("");
  const [kinds, setKinds] = useState("*");
  const wanted = kinds.split(/[\s,]+/).filter(Boolean);
  const action = useAction({
    call: () => answerOf(api.POST("/v1/webhooks", { body: { url: url.trim(), kinds: wanted } })),
    done: () => text("webhooks.was_made"),
    changes: KEYS,
    after: (made) => {
      onMade(made);
      onClose();
    },
  });
  return (
    <Ask
      title={text("webhooks.create")}
      what={<p>{text("webhooks.create_what")}</p>}
      confirm={text("webhooks.create")}
      isBusy={action.isPending}
      isReady={url.trim() !== "" && wanted.length > 0}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <label className="field">
        <span>{text("webhooks.url")}</span>
        <input className="input" type="url" required placeholder="https://" value={url} onChange={(event) => setUrl(event.target.value)} />
      </label>
      <label className="field">
        <span>{text("webhooks.kinds")}</span>
        <input className="input" required placeholder="order.*, stock.changed" value={kinds} onChange={(event) => setKinds(event.target.value)} />
      </label>
    </Ask>
  );
}

function Do({ act, of: webhook, onDone, onClose }: { act: Act; of: Webhook; onDone: () => void; onClose: () => void }) {
  const text = useText();
  const path = { params: { path: { webhook_id: webhook.webhook_id } } };
  const action = useAction({
    call: async (): Promise<number> => {
      if (act === "replay") return (await answerOf(api.POST("/v1/webhooks/{webhook_id}/replay", { ...path, body: { since: null } }))).queued;
      if (act === "enable") await answerOf(api.POST("/v1/webhooks/{webhook_id}/enable", path));
      else {
        // Nothing is answered: 204.
        const { response, error } = await api.DELETE("/v1/webhooks/{webhook_id}", path);
        if (!response.ok) throw problemOf(response.status, error);
      }
      return 0;
    },
    done: (count) => text(`webhooks.${act}_done`, { count }),
    changes: KEYS,
    after: onDone,
  });
  return (
    <Ask
      title={`${text(`webhooks.${act}`)}: ${webhook.url}`}
      what={<p>{text(`webhooks.${act}_what` as Message)}</p>}
      confirm={text(`webhooks.${act}`)}
      danger={act === "delete"}
      isBusy={action.isPending}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    />
  );
}
