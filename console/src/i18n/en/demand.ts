export const demand = {
  "room.demand": "Demand",
} as const;
