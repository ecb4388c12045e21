import { navigate, useAddress, withParameters } from "../../app/router";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Panel } from "../../ui/parts";
import { Paged } from "../../ui/paged";
import { Empty } from "../../ui/states";
import { Table } from "../../ui/table";
import { useAudit, type AuditFilter } from "./queries";

const FIELDS = ["kind", "subject", "actor", "from", "to"] as const;

/** Every state change, and who made it. */
export function Audit() {
  const text = useText();
  const format = useFormat();
  const address = useAddress();
  const filter = Object.fromEntries(FIELDS.map((name) => [name, address.searchParams.get(name) ?? ""])) as AuditFilter;
  const audit = useAudit(filter);
  const isFiltered = FIELDS.some((name) => filter[name] !== "");
  return (
    <>
      <form
        key={address.search}
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          const given = new FormData(event.currentTarget);
          navigate(withParameters(address, Object.fromEntries(FIELDS.map((name) => [name, String(given.get(name) ?? "").trim()]))));
        }}
      >
        {FIELDS.map((name) => (
          <label key={name} className="small">
            {text(`audit.${name}`)}
            <input
              className="input"
              name={name}
              type={name === "from" || name === "to" ? "date" : name === "actor" ? "number" : "text"}
              min={name === "actor" ? 0 : undefined}
              placeholder={name === "kind" ? "order.*" : ""}
              defaultValue={filter[name]}
            />
          </label>
        ))}
        <button type="submit" className="button">
          {text("audit.filter")}
        </button>
        {isFiltered && (
          <button type="button" className="button quiet" onClick={() => navigate("/settings?tab=audit")}>
            {text("action.clear")}
          </button>
        )}
      </form>
      <Panel title={text("settings.audit")}>
        <Paged query={audit} empty={<Empty title={text("audit.none")} />}>
          {(rows) => (
            <Table columns={[[text("audit.at")], [text("audit.kind")], [text("audit.subject")], [text("audit.by")], [text("audit.data")]]} isCards>
              {rows.map((row) => (
                <tr key={row.id}>
                  <td className="soft nowrap">{format.moment(row.at)}</td>
                  <th scope="row">{row.kind}</th>
                  <td className="small breaks wide">{row.subject}</td>
                  <td className="small wide">
                    {row.actor === 0 ? text("order.by_system") : (row.actor_name ?? text("order.by_key", { key: String(row.actor) }))}
                    {row.reason !== null && <span className="soft"> · {row.reason}</span>}
                  </td>
                  <td className="small soft wide">
                    <details>
                      <summary>{text("audit.show")}</summary>
                      <pre className="data-of">{JSON.stringify(row.data, null, 1)}</pre>
                    </details>
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </Paged>
      </Panel>
    </>
  );
}
