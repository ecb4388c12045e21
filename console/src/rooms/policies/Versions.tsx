import { Link, useAddress, withParameters } from "../../app/router";
import type { Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel } from "../../ui/parts";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";
import type { Brief } from "./queries";
import { useWho } from "./who";

interface Props {
  policy: Schema["PolicyOut"];
  shown: number;
  onMove: (version: Brief) => void;
}

export function Versions({ policy, shown, onMove }: Props) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const who = useWho();
  const address = useAddress();
  return (
    <Panel title={text("policies.versions", { count: policy.versions.length })}>
      <Table
        columns={[
          [text("policies.version_no")],
          [text("policies.state")],
          [text("policies.written")],
          [text("policies.why")],
          [text("policies.move"), "unseen"],
        ]}
        isCards
      >
        {policy.versions.map((version) => (
          <tr key={version.version} className={version.version === shown ? "chosen" : ""}>
            <th scope="row">
              <Link to={withParameters(address, { version: String(version.version) })} aria-current={version.version === shown ? "true" : undefined}>
                {text("policies.version", { no: String(version.version) })}
              </Link>
            </th>
            <td>
              <Badge tone={toneOf(version.state)}>
                {word("policy", version.state)}
                {version.share !== null && ` ${format.percent(version.share, 1)}`}
              </Badge>
            </td>
            <td className="soft wide">
              {format.moment(version.created_at)}, {who(version.created_by)}
            </td>
            <td className="soft breaks wide">{version.why}</td>
            <td className="end wide">
              <button type="button" className="button" onClick={() => onMove(version)}>
                {text("policies.move")}
                <span className="hidden-visually"> {text("policies.version", { no: String(version.version) })}</span>
              </button>
            </td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}
