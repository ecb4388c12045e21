import type { policies as english } from "../en/policies";

export const policies: Record<keyof typeof english, string> = {
  "room.policies": "Richtlinien",
};
