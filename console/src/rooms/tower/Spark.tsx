/** A line without axes beside a number that says it all. */

export function Spark({ values }: { values: readonly (number | null)[] }) {
  const most = Math.max(1, ...values.map((value) => value ?? 0));
  const step = 100 / Math.max(1, values.length);
  return (
    <svg className="spark" viewBox="0 0 100 22" preserveAspectRatio="none" aria-hidden="true">
      {values.map((value, i) =>
        value === null ? null : (
          <rect key={i} x={i * step} width={step * 0.72} y={22 - Math.max(1, (value / most) * 22)} height={Math.max(1, (value / most) * 22)} rx="0.6" />
        ),
      )}
    </svg>
  );
}
