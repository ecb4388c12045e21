import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";

const isPast = (at: string): boolean => Date.parse(at) < Date.now();

/** A date that was promised; said aloud once it has passed. */
export function Due({ at, isOver = false }: { at: string; isOver?: boolean }) {
  const text = useText();
  const format = useFormat();
  const isLate = !isOver && isPast(at);
  return (
    <span className={`nowrap ${isLate ? "bad" : ""}`} title={format.moment(at)}>
      {format.day(at)}
      {isLate && ` · ${text("orders.late")}`}
    </span>
  );
}
