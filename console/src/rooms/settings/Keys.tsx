import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { answerOf, api, type Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Panel } from "../../ui/parts";
import { Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { keys, ownKey } from "./queries";
import { Secret } from "./Secret";

type Key = Schema["Key"];
type Scope = Schema["NewKey"]["scopes"][number];

const SCOPES: readonly Scope[] = ["read", "orders:write", "stock:write", "plan:approve", "config:write", "admin"];
const TOOLS: readonly Scope[] = [
  "tool:create-sales-order", "tool:update-order", "tool:cancel-order", "tool:fulfill-order", "tool:create-return",
  "tool:reserve_stock", "tool:release_reservation", "tool:approve_proposal", "tool:dismiss_proposal", "tool:undo_proposal",
];
const KEYS = [["keys"]] as const;

export function Keys() {
  const text = useText();
  const format = useFormat();
  const all = useQuery(keys);
  const own = useQuery(ownKey);
  const [isAsked, setAsked] = useState(false);
  const [revoked, setRevoked] = useState<Key | null>(null);
  const [made, setMade] = useState<Schema["CreatedKey"] | null>(null);
  return (
    <>
      {made?.key != null && (
        <Secret title={text("keys.made", { name: made.name })} hint={text("keys.once")} value={made.key} onClose={() => setMade(null)} />
      )}
      <Panel
        title={text("settings.keys")}
        note={text("keys.note")}
        beside={
          <button type="button" className="button main" onClick={() => setAsked(true)}>
            {text("keys.create")}
          </button>
        }
      >
        <Loaded query={all}>
          {({ rows }) => (
            <Table columns={[[text("keys.name")], [text("keys.scopes")], [text("keys.created")], [text("keys.ends")], [text("keys.revoke"), "unseen"]]} isCards>
              {rows.map((key) => (
                <tr key={key.key_id}>
                  <th scope="row">
                    {key.name} <span className="small soft">{text("order.by_key", { key: String(key.key_id) })}, {key.prefix}…</span>
                  </th>
                  <td className="small wide">{key.scopes.join(", ")}</td>
                  <td className="soft">{format.moment(key.created_at)}</td>
                  <td className="soft">{key.expires_at === null ? text("keys.never") : format.ago(key.expires_at)}</td>
                  <td className="end">
                    {key.key_id === own.data?.key_id ? (
                      <Badge tone="accent">{text("keys.own")}</Badge>
                    ) : (
                      <button type="button" className="button danger" onClick={() => setRevoked(key)}>
                        {text("keys.revoke")}
                        <span className="hidden-visually"> {key.name}</span>
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </Loaded>
      </Panel>
      {isAsked && <Create onMade={setMade} onClose={() => setAsked(false)} />}
      {revoked !== null && <Revoke of={revoked} onClose={() => setRevoked(null)} />}
    </>
  );
}

function Create({ onMade, onClose }: { onMade: (key: Schema["CreatedKey"]) => void; onClose: () => void }) {
  const text = useText();
  const word = useWord();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly Scope[]>(["read"]);
  const action = useAction({
    call: () => answerOf(api.POST("/v1/keys", { body: { name: name.trim(), scopes: [...scopes] } })),
    done: (key) => text("keys.was_made", { name: key.name }),
    changes: KEYS,
    after: (key) => {
      onMade(key);
      onClose();
    },
  });
  const choices = (all: readonly Scope[]) =>
    all.map((scope) => (
      <label key={scope} className="check">
        <input
          type="checkbox"
          checked={scopes.includes(scope)}
          onChange={(event) => setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((each) => each !== scope))}
        />
        <span>
          {scope} {!scope.startsWith("tool:") && <span className="small soft">{word("scope", scope)}</span>}
        </span>
      </label>
    ));
  return (
    <Ask
      title={text("keys.create")}
      what={<p>{text("keys.create_what")}</p>}
      confirm={text("keys.create")}
      isBusy={action.isPending}
      isReady={name.trim() !== "" && scopes.length > 0}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <label className="field">
        <span>{text("keys.name")}</span>
        <input className="input" required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
      </label>
      <fieldset>
        <legend>{text("keys.scopes")}</legend>
        {choices(SCOPES)}
        <details>
          <summary className="small">{text("keys.tools")}</summary>
          {choices(TOOLS)}
        </details>
      </fieldset>
    </Ask>
  );
}

function Revoke({ of: key, onClose }: { of: Key; onClose: () => void }) {
  const text = useText();
  const action = useAction({
    call: () => answerOf(api.DELETE("/v1/keys/{key_id}", { params: { path: { key_id: key.key_id } } })),
    done: () => text("keys.was_revoked", { name: key.name }),
    changes: KEYS,
    after: onClose,
  });
  return (
    <Ask
      title={text("keys.revoke_title", { name: key.name })}
      what={<p>{text("keys.revoke_what")}</p>}
      confirm={text("keys.revoke")}
      danger
      isBusy={action.isPending}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    />
  );
}
