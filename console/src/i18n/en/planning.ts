export const planning = {
  "room.planning": "Planning",
} as const;
