/** Connect a channel, or change how it is talked to: a form made of what its connector asks for, tried before it is saved. */

import { useMutation, useQuery } from "@tanstack/react-query";
import { useId, useMemo, useState, type ReactNode } from "react";
import { answerOf, api, type Schema } from "../../api/client";
import { channels } from "../../api/queries";
import { Link, navigate, useParameter } from "../../app/router";
import { useText, useWord } from "../../i18n/text";
import "../../styles/channels.css";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Head, Panel } from "../../ui/parts";
import { Failure, Loaded, Skeleton } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { Fields } from "./Fields";
import { documentOf, fieldsOf, typedOf, type Typed } from "./form";
import { connectors, nodeGroups, oneChannel } from "./queries";
import { Tried } from "./Tried";

type Stored = Schema["ChannelOut"];
type Connector = Schema["ConnectorOut"];

const OURS = "api";

export default function ChannelForm({ parameters }: { parameters: Record<string, string> }) {
  const code = parameters["channel"];
  return code === undefined ? <New /> : <Known code={code} />;
}

function New() {
  const text = useText();
  const [kind, setKind] = useParameter("connector");
  return (
    <>
      <Head crumb={<Link to="/channels">{text("room.channels")}</Link>} title={text("connecting.add")} />
      <OfKind kind={kind} onKind={setKind} stored={null} />
    </>
  );
}

function Known({ code }: { code: string }) {
  const text = useText();
  const stored = useQuery(oneChannel(code));
  return (
    <>
      <Head crumb={<Link to={`/channels/${encodeURIComponent(code)}`}>{code}</Link>} title={text("connecting.settings_of", { channel: code })} />
      <Loaded query={stored} lines={10}>{(data) => <OfKind kind={data.connector} stored={data} />}</Loaded>
    </>
  );
}

function OfKind({ kind, onKind, stored }: { kind: string; onKind?: (kind: string) => void; stored: Stored | null }) {
  const text = useText();
  const word = useWord();
  const all = useQuery(connectors);
  const id = useId();
  const known = all.data?.data ?? [];
  const connector = known.find((each) => each.name === kind);
  return (
    <>
      {onKind !== undefined && (
        <Panel title={text("connecting.kind")}>
          <div className="inside stack tight">
            <div className="field">
              <label htmlFor={id}>{text("connecting.choose")}</label>
              <select id={id} className="select" value={kind} onChange={(event) => onKind(event.target.value)}>
                <option value="">–</option>
                {known.map((each) => (
                  <option key={each.name} value={each.name}>
                    {each.title}
                  </option>
                ))}
                <option value={OURS}>{text("connecting.calls_us")}</option>
              </select>
            </div>
            {connector !== undefined && (
              <p className="row">
                <Badge tone={connector.status === "unusable" ? "bad" : "accent"}>{text("connecting.proven", { status: word("proven", connector.status) })}</Badge>
                <span className="small soft">{connector.capabilities.join(", ")}</span>
              </p>
            )}
            {connector !== undefined && connector.description !== "" && <p className="soft">{connector.description}</p>}
          </div>
        </Panel>
      )}
      {all.isError && <Failure error={all.error} onRetry={() => void all.refetch()} />}
      {all.isPending && <Skeleton />}
      {connector !== undefined && connector.error !== null && <p className="bad">{text("connecting.unusable", { error: connector.error })}</p>}
      {all.isSuccess && (kind === OURS || (connector !== undefined && connector.error === null)) && (
        <Form key={kind} connector={connector ?? null} stored={stored} />
      )}
    </>
  );
}

function Form({ connector, stored }: { connector: Connector | null; stored: Stored | null }) {
  const text = useText();
  const settings = useMemo(() => fieldsOf(connector?.settings ?? {}), [connector]);
  const credentials = useMemo(() => fieldsOf(connector?.credentials ?? {}), [connector]);
  const known = useQuery(channels).data?.rows ?? [];
  const [code, setCode] = useState(stored?.code ?? "");
  const [own, setOwn] = useState<Own>(() => (stored === null ? { ...BLANK, currency: known[0]?.currency ?? BLANK.currency } : unstamped(stored)));
  const [typed, setTyped] = useState<Typed>(() => typedOf(settings, stored?.settings ?? {}));
  const [secrets, setSecrets] = useState<Typed>({});
  const [isShown, setShown] = useState(false);
  const [isAsked, setAsked] = useState(false);

  const said = documentOf(settings, typed);
  const keepsSecrets = stored !== null && Object.values(secrets).every((each) => each === "");
  const secret = keepsSecrets ? { made: {}, wrong: {} } : documentOf(credentials, secrets);
  const isTaken = stored === null && known.some((each) => each.code === code.trim());
  const isCurrency = /^[A-Z]{3}$/.test(own.currency);
  const isSound = Object.keys({ ...said.wrong, ...secret.wrong }).length === 0 && code.trim() !== "" && !isTaken && isCurrency;
  const document: Schema["ChannelIn"] = {
    ...own,
    name: own.name.trim() || code.trim(),
    connector: connector?.name ?? OURS,
    settings: connector === null ? (stored?.settings ?? {}) : said.made,
    ...(keepsSecrets || connector === null ? {} : { credentials: secret.made as Record<string, string> }),
  };
  const asTyped = JSON.stringify([code, document]);

  const test = useMutation({
    mutationFn: async () => ({
      asTyped,
      found: await answerOf(api.POST("/v1/channels/{code}/test", { params: { path: { code: code.trim() } }, body: document })),
    }),
  });
  const save = useAction({
    call: () => answerOf(api.PUT("/v1/channels/{code}", { params: { path: { code: code.trim() } }, body: document })),
    done: (channel) => text("connecting.was_saved", { channel: channel.code }),
    changes: [["channels"]],
    after: () => navigate(`/channels/${encodeURIComponent(code.trim())}`),
  });
  const checked = (next: () => void) => {
    setShown(true);
    if (isSound) next();
  };
  const isFresh = test.data?.asTyped === asTyped;
  const verdict = isFresh ? test.data?.found.verdict : undefined;
  const warning = verdict === undefined ? "connecting.not_tested" : verdict === "failed" ? "connecting.test_failed" : null;

  return (
    <>
      <form
        className="columns even"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          checked(() => setAsked(true));
        }}
      >
        <div className="stack">
          <Panel title={text("connecting.channel")}>
            <div className="inside stack tight">
              {stored === null && (
                <Line label={text("connecting.code")} hint={text("connecting.code_hint")} wrong={isTaken ? text("connecting.wrong_code") : isShown && code.trim() === "" ? text("connecting.wrong_required") : null}>
                  {(props) => <input className="input" autoComplete="off" spellCheck={false} value={code} onChange={(event) => setCode(event.target.value)} {...props} />}
                </Line>
              )}
              <Line label={text("connecting.name")}>
                {(props) => <input className="input" autoComplete="off" placeholder={code} value={own.name} onChange={(event) => setOwn({ ...own, name: event.target.value })} {...props} />}
              </Line>
              <Line label={text("connecting.currency")} hint={text("connecting.currency_hint")} wrong={isShown && !isCurrency ? text("connecting.currency_hint") : null}>
                {(props) => <input className="input" maxLength={3} value={own.currency} onChange={(event) => setOwn({ ...own, currency: event.target.value.toUpperCase() })} {...props} />}
              </Line>
              <Nodes stored={stored} group={own.node_group} onGroup={(node_group) => setOwn({ ...own, node_group })} />
              {(own.prices || connector?.capabilities.includes("prices.push") === true) && (
                <Check label={text("connecting.prices")} isOn={own.prices} onTurn={(prices) => setOwn({ ...own, prices })} />
              )}
              <Check label={text("connecting.active")} isOn={own.active} onTurn={(active) => setOwn({ ...own, active })} />
            </div>
          </Panel>
          {connector === null ? (
            <p className="soft">{text("connecting.calls_us_note")}</p>
          ) : (
            <>
              <Panel title={text("connecting.of_connector", { connector: connector.title })}>
                <div className="inside stack tight">
                  <Fields fields={settings} typed={typed} wrong={isShown ? said.wrong : {}} onType={(name, value) => setTyped({ ...typed, [name]: value })} />
                </div>
              </Panel>
              {credentials.length > 0 && (
                <Panel title={text("connecting.secrets")} note={`${text("connecting.secrets_note")} ${stored === null ? "" : text("connecting.secrets_kept")}`}>
                  <div className="inside stack tight">
                    <Fields fields={credentials} typed={secrets} wrong={isShown ? secret.wrong : {}} onType={(name, value) => setSecrets({ ...secrets, [name]: value })} />
                  </div>
                </Panel>
              )}
            </>
          )}
        </div>
        <div className="stack">
          {connector !== null && (
            <Panel
              title={test.data === undefined || test.isPending ? text("connecting.test_title") : text(`connecting.${test.data.found.verdict}`)}
              beside={test.data !== undefined && !test.isPending && <Badge tone={toneOf(test.data.found.verdict)}>{test.data.found.connector}</Badge>}
            >
              <div aria-live="polite">
                {test.isError && <Failure error={test.error} />}
                {test.isPending ? <p className="inside">{text("connecting.testing")}</p> : test.data !== undefined && <Tried found={test.data.found} />}
                {test.data !== undefined && !test.isPending && !isFresh && <p className="note warn">{text("connecting.was_changed")}</p>}
              </div>
              <div className="inside stack tight">
                <p className="small soft">{text("connecting.test_note")}</p>
                <div>
                  <button type="button" className="button" disabled={test.isPending} onClick={() => checked(() => test.mutate())}>
                    {text(test.isPending ? "action.busy" : "connecting.test")}
                  </button>
                </div>
              </div>
            </Panel>
          )}
          <div>
            <button type="submit" className="button main">
              {text(stored === null ? "connecting.connect" : "action.save")}
            </button>
          </div>
        </div>
      </form>
        {isAsked && (
          <Ask
            title={text(stored === null ? "connecting.connect_title" : "connecting.save_title", { channel: code.trim() })}
            what={
              <>
                <p>{text(stored === null ? "connecting.connect_what" : "connecting.save_what", { channel: code.trim() })}</p>
                {connector !== null && warning !== null && <p className="warn">{text(warning)}</p>}
              </>
            }
            confirm={text(stored === null ? "connecting.connect" : "action.save")}
            isBusy={save.isPending}
            error={save.error}
            onConfirm={() => save.mutate(undefined)}
            onClose={() => setAsked(false)}
          />
        )}
    </>
  );
}

type Own = Schema["ChannelIn"] & Pick<Stored, "name" | "currency" | "node_group" | "prices" | "active">;

const BLANK: Own = { name: "", currency: "EUR", node_group: null, prices: false, active: true };

/** What is stored, as it may be written again. */
function unstamped(stored: Stored): Own {
  const kept: Partial<Stored> = { ...stored };
  delete kept.code;
  delete kept.updated_at;
  return kept as Own;
}

interface LineProps {
  label: string;
  hint?: string;
  wrong?: string | null;
  children: (props: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => ReactNode;
}

function Line({ label, hint, wrong, children }: LineProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-hint`, "aria-invalid": typeof wrong === "string" })}
      <span id={`${id}-hint`} className="small soft">
        {typeof wrong === "string" ? <strong className="bad">{wrong}</strong> : hint}
      </span>
    </div>
  );
}

function Check({ label, isOn, onTurn }: { label: string; isOn: boolean; onTurn: (isOn: boolean) => void }) {
  return (
    <label className="check">
      <input type="checkbox" checked={isOn} onChange={(event) => onTurn(event.target.checked)} />
      {label}
    </label>
  );
}

function Nodes({ stored, group, onGroup }: { stored: Stored | null; group: string | null; onGroup: (group: string | null) => void }) {
  const text = useText();
  const groups = useQuery(nodeGroups).data?.rows ?? [];
  const nodes = stored?.nodes ?? null;
  return (
    <Line label={text("connecting.nodes")}>
      {(props) =>
        nodes !== null ? (
          <input className="input" readOnly value={text("connecting.these_nodes", { nodes: nodes.join(", ") })} {...props} />
        ) : (
          <select className="select" value={group ?? ""} onChange={(event) => onGroup(event.target.value === "" ? null : event.target.value)} {...props}>
            <option value="">{text("connecting.every_node")}</option>
            {groups.map((each) => (
              <option key={each.code} value={each.code}>
                {each.name}
              </option>
            ))}
          </select>
        )
      }
    </Line>
  );
}
