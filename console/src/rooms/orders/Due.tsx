import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";

/** A date that was promised; said aloud once it has passed. */
export function Due({ at, isOver = false }: { at: string; isOver?: boolean }) {
  const text = useText();
  const format = useFormat();
  const isLate = !isOver && Date.parse(at) < Date.now();
  return (
    <span className={`nowrap ${isLate ? "bad" : ""}`} title={format.moment(at)}>
      {format.day(at)}
      {isLate && ` · ${text("orders.late")}`}
    </span>
  );
}
