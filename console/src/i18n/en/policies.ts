export const policies = {
  "room.policies": "Policies",
} as const;
