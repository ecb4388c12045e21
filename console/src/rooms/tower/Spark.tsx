/** A line without axes beside a number that says it all. */

export function Spark({ values }: { values: readonly number[] }) {
  const most = Math.max(1, ...values);
  const step = 100 / Math.max(1, values.length);
  return (
    <svg className="spark" viewBox="0 0 100 22" preserveAspectRatio="none" aria-hidden="true">
      {values.map((value, i) => {
        const height = Math.max(1, (value / most) * 22);
        return <rect key={i} x={i * step} width={step * 0.72} y={22 - height} height={height} rx="0.6" />;
      })}
    </svg>
  );
}
