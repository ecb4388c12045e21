/** Line icons on a grid of 24, drawn in the colour of the text. */

const PATHS = {
  tower: "M4 13a8 8 0 0 1 16 0M12 13l4-5M4 17h16M7 21h10",
  orders: "M6 3h9l4 4v14H6zM15 3v4h4M9.5 12h6M9.5 16h6",
  incidents: "M12 4 21 19.5H3zM12 10v4.5M12 17v.4",
  stock: "M4 8.5 12 4l8 4.5v7L12 20l-8-4.5zM4 8.5l8 4.5 8-4.5M12 13v7",
  channels: "M12 12v.1M8.5 8.5a5 5 0 0 0 0 7M15.5 8.5a5 5 0 0 1 0 7M5.5 5.5a9.2 9.2 0 0 0 0 13M18.5 5.5a9.2 9.2 0 0 1 0 13",
  demand: "M4 4v16h16M7 14l4-4 3 2.5L20 6M16.5 6H20v3.5",
  planning: "M4 7h13M14 4l3 3-3 3M20 17H7M10 14l-3 3 3 3",
  campaigns: "M4 10v4h3l8 4.5v-13L7 10zM7 14l1.5 5H11l-1-3.5M18.5 9a4 4 0 0 1 0 6",
  policies: "M12 3v3M12 18v3M5 6h12l3 3-3 3H5zM19 12H8l-3 3 3 3h11z",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5M9 14.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5",
  calm: "M3 15c2.2 0 2.2-1.6 4.5-1.6S9.7 15 12 15s2.2-1.6 4.5-1.6S18.7 15 21 15M3 19c2.2 0 2.2-1.6 4.5-1.6S9.7 19 12 19s2.2-1.6 4.5-1.6S18.7 19 21 19M12 9.5V5M9.5 7 12 4.5 14.5 7",
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13M15.5 15.5 20 20",
  check: "m5 12.5 4.5 4.5L19 7.5",
  back: "M14.5 6 8.5 12l6 6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="currentColor" />
      <g fill="none" stroke="var(--panel)" strokeWidth="2.4" strokeLinecap="round" strokeLinejoin="round">
        <path d="M7 11.5 16 7l9 4.5v9L16 25l-9-4.5z" />
        <path d="M7 11.5 16 16l9-4.5M16 16v9" />
      </g>
    </svg>
  );
}
