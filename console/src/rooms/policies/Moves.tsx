/** Dialogs that move versions: on, towards deciding, and back. */

import { useState } from "react";
import { answerOf, api, type Schema } from "../../api/client";
import { useText, useWord, type Message } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import type { Brief } from "./queries";

type Policy = Schema["PolicyOut"];

const WAY = ["draft", "shadow", "canary", "active"] as const;
const MOVES: Record<Brief["state"], readonly ("shadow" | "canary" | "active" | "retired")[]> = {
  draft: ["shadow", "canary", "active", "retired"],
  shadow: ["canary", "active", "retired"],
  canary: ["canary", "active", "retired"],
  active: ["retired"],
  retired: ["shadow", "canary", "active"],
};
const SHARE_PERCENT = 5;

export function Promote({ policy, version, onClose }: { policy: Policy; version: Brief; onClose: () => void }) {
  const text = useText();
  const word = useWord();
  const targets = MOVES[version.state];
  const [to, setTo] = useState(targets[0] ?? "retired");
  const [percent, setPercent] = useState(String(Math.round((version.share ?? SHARE_PERCENT / 100) * 1000) / 10));
  const [why, setWhy] = useState("");
  const share = Number(percent) / 100;
  const label = `${policy.name}@${version.version}`;
  const place = (state: string) => WAY.indexOf(state as (typeof WAY)[number]);
  const leavesOut = to !== "retired" && to !== version.state && place(to) > Math.max(0, place(version.state)) + 1;
  const former = to === "retired" ? null : policy[to];
  const action = useAction({
    call: () =>
      answerOf(
        api.POST("/v1/policies/{name}/promote", {
          params: { path: { name: policy.name } },
          body: {
            to,
            version: version.version,
            ...(to === "canary" ? { share } : {}),
            ...(why.trim() === "" ? {} : { why: why.trim() }),
          },
        }),
      ),
    done: () => text("policies.was_moved", { version: label, state: word("policy", to) }),
    changes: [["policies"]],
    after: onClose,
  });
  return (
    <Ask
      title={text("policies.move_title", { version: label })}
      what={
        <>
          <p>{text(`policies.to_${to}` as Message, { share: percent })}</p>
          {former !== null && former !== version.version && (
            <p>{text("policies.replaces", { version: `${policy.name}@${former}`, state: word("policy", to) })}</p>
          )}
        </>
      }
      confirm={text("policies.move")}
      danger={to === "active" || to === "retired"}
      isBusy={action.isPending}
      isReady={(to !== "canary" || (share > 0 && share < 1)) && (!leavesOut || why.trim() !== "")}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <fieldset>
        <legend>{text("policies.becomes")}</legend>
        {targets.map((each) => (
          <label key={each} className="check">
            <input type="radio" name="to" checked={to === each} onChange={() => setTo(each)} />
            {word("policy", each)}
          </label>
        ))}
      </fieldset>
      {to === "canary" && (
        <label className="field">
          <span>{text("policies.share")}</span>
          <input className="input" type="number" min={0.1} max={99.9} step={0.1} required value={percent} onChange={(event) => setPercent(event.target.value)} />
        </label>
      )}
      <label className="field">
        <span>{text(leavesOut ? "policies.why_needed" : "policies.why")}</span>
        <input className="input" value={why} maxLength={200} onChange={(event) => setWhy(event.target.value)} />
      </label>
    </Ask>
  );
}

/** Takes the canary back; without one, returns to the version that was active before. */
export function RollBack({ policy }: { policy: Policy }) {
  const text = useText();
  const [isAsked, setAsked] = useState(false);
  const [why, setWhy] = useState("");
  const action = useAction({
    call: () =>
      answerOf(api.POST("/v1/policies/{name}/rollback", { params: { path: { name: policy.name } }, body: { why: why.trim() } })),
    done: (moved) => text("policies.was_rolled_back", { version: `${policy.name}@${moved.moves[0]?.version ?? "?"}` }),
    changes: [["policies"]],
    after: () => setAsked(false),
  });
  if (policy.active === null && policy.canary === null) return null;
  const what = policy.canary === null ? "policies.roll_back_active" : "policies.roll_back_canary";
  return (
    <>
      <button type="button" className="button danger" onClick={() => setAsked(true)}>
        {text("policies.roll_back")}
      </button>
      {isAsked && (
        <Ask
          title={text("policies.roll_back_title", { policy: policy.name })}
          what={<p>{text(what, { version: `${policy.name}@${policy.canary ?? policy.active ?? ""}` })}</p>}
          confirm={text("policies.roll_back")}
          danger
          isBusy={action.isPending}
          isReady={why.trim() !== ""}
          error={action.error}
          onConfirm={() => action.mutate(undefined)}
          onClose={() => setAsked(false)}
        >
          <label className="field">
            <span>{text("policies.why")}</span>
            <input className="input" required value={why} maxLength={200} onChange={(event) => setWhy(event.target.value)} />
          </label>
        </Ask>
      )}
    </>
  );
}
